// The browser's part of passkeys (WebAuthn Level 3), for the routes beside this file. No dependencies.
//
//   import { register, signIn, supported, PasskeyError } from "/auth/passkey.js";
//
// `signIn()` and `register()` resolve with what the route answers, and reject with a PasskeyError, whose `code` is
// "canceled", "not_allowed", "already_registered", "not_supported", or that of the route's problem document.

const BASE = new URL(".", import.meta.url);
const CHALLENGE_MILLIS = 50_000; // the auth server takes an answer for 65 seconds

/** What went wrong; `code` is for programs, `message` for people, `details` what the route said beside it. */
export class PasskeyError extends Error {
  constructor(code, message, details = {}) {
    super(message);
    this.name = "PasskeyError";
    this.code = code;
    this.details = details;
  }
}

/** Whether this browser knows passkeys at all. */
export function supported() {
  return typeof window.PublicKeyCredential === "function" && Boolean(navigator.credentials);
}

/** Whether the browser can offer passkeys in the autofill of a field (`autocomplete="username webauthn"`). */
export async function conditionalSupported() {
  return supported() && Boolean(await PublicKeyCredential.isConditionalMediationAvailable?.());
}

/**
 * Sign in with a passkey.
 * @param {{conditional?: boolean, signal?: AbortSignal, headers?: Record<string, string>}} [how] `conditional` waits until
 *   the person picks a passkey from a field's autofill; abort the `signal` to stop waiting.
 */
export async function signIn({ conditional = false, signal, headers } = {}) {
  requireSupport();
  for (;;) {
    const { options, code } = await call("passkey/options", {}, headers, signal);
    const credential = await (conditional ? offered(options, signal) : asked(options, signal));
    if (credential) {
      return call("passkey/sign-in", { credential: toJson(credential), ...(code && { code }) }, headers, signal);
    }
  }
}

function asked(options, signal) {
  return ask(navigator.credentials.get({ publicKey: withBytes(options), signal }), signal);
}

/** A passkey picked from an autofill; null when the challenge grows stale first, so that it is time for a new one. */
async function offered(options, signal) {
  const round = new AbortController();
  let stale = false;
  const timer = setTimeout(() => {
    stale = true;
    round.abort();
  }, CHALLENGE_MILLIS);
  const stop = () => round.abort();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const publicKey = withBytes(options);
    return await navigator.credentials.get({ publicKey, mediation: "conditional", signal: round.signal });
  } catch (error) {
    if (stale) return null;
    throw explained(error, signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

/**
 * Register a passkey for who is signed in.
 * @param {{signal?: AbortSignal, headers?: Record<string, string>}} [how]
 */
export async function register({ signal, headers } = {}) {
  requireSupport();
  const { options, code } = await call("passkey/register/options", {}, headers, signal);
  const credential = await ask(navigator.credentials.create({ publicKey: withBytes(options), signal }), signal);
  return call("passkey/register", { credential: toJson(credential), ...(code && { code }) }, headers, signal);
}

function requireSupport() {
  if (!supported()) throw new PasskeyError("not_supported", "This browser knows no passkeys.");
}

async function ask(answer, signal) {
  try {
    return await answer;
  } catch (error) {
    throw explained(error, signal);
  }
}

function explained(error, signal) {
  if (signal?.aborted || error?.name === "AbortError") return new PasskeyError("canceled", "That was canceled.");
  switch (error?.name) {
    case "NotAllowedError": // browsers do not tell a refusal from a timeout, on purpose
      return new PasskeyError("not_allowed", "That was canceled, or took too long.");
    case "InvalidStateError":
      return new PasskeyError("already_registered", "There is a passkey on this device already.");
    case "SecurityError":
      return new PasskeyError("wrong_origin", "Passkeys do not work under this address.");
    case "NotSupportedError":
      return new PasskeyError("not_supported", "This device cannot make such a passkey.");
    default:
      return error;
  }
}

async function call(path, body, headers, signal) {
  const sent = fetch(new URL(path, BASE), {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json", ...headers },
    body: JSON.stringify(body),
    credentials: "include",
    signal,
  });
  const response = await ask(sent, signal);
  const answer = await ask(response.json(), signal).catch((error) => {
    if (error instanceof PasskeyError) throw error;
    return {}; // no JSON
  });
  if (!response.ok) {
    const { code = "failed", detail = "That did not work.", details } = answer;
    throw new PasskeyError(code, detail, details);
  }
  return answer;
}

// --- JSON and bytes (WebAuthn Level 3 §5.1.8 to §5.1.10; older browsers have no methods for it) ---

function withBytes(options) {
  const publicKey = { ...options, challenge: bytesOf(options.challenge) };
  if (options.user) publicKey.user = { ...options.user, id: bytesOf(options.user.id) };
  for (const name of ["allowCredentials", "excludeCredentials"]) {
    if (options[name]) publicKey[name] = options[name].map((each) => ({ ...each, id: bytesOf(each.id) }));
  }
  return publicKey;
}

function toJson(credential) {
  if (typeof credential.toJSON === "function") return credential.toJSON();
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = textOf(credential.response[name]);
  }
  const transports = credential.response.getTransports?.();
  if (transports) response.transports = transports;
  return {
    id: credential.id,
    rawId: textOf(credential.rawId),
    type: credential.type,
    response,
    clientExtensionResults: credential.getClientExtensionResults(),
    ...(credential.authenticatorAttachment && { authenticatorAttachment: credential.authenticatorAttachment }),
  };
}

function bytesOf(text) {
  const base64 = text.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function textOf(buffer) {
  const characters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(characters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
