// The vendor's SDK, as a Node program uses it, against a running emulator.
// Reads the emulator's address and keys from the environment; ends with 0 only when every step did what it promises.
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";

const env = process.env;
const PASSWORD = "Correct-Horse-7";
const PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const CALLBACK = "http://localhost:3000/handler/magic-link-callback";

function client(sdk) {
  return new sdk.StackClientApp({
    projectId: env.STACK_PROJECT_ID,
    publishableClientKey: env.STACK_PUBLISHABLE_CLIENT_KEY,
    baseUrl: env.STACK_API_URL,
    tokenStore: "memory",
    redirectMethod: "none",
    noAutomaticPrefetch: true,
    devTool: false,
    analytics: { replays: { enabled: false } },
  });
}

function server(sdk) {
  return new sdk.StackServerApp({
    projectId: env.STACK_PROJECT_ID,
    publishableClientKey: env.STACK_PUBLISHABLE_CLIENT_KEY,
    secretServerKey: env.STACK_SECRET_SERVER_KEY,
    baseUrl: env.STACK_API_URL,
    tokenStore: "memory",
    redirectMethod: "none",
    noAutomaticPrefetch: true,
    devTool: false,
    analytics: { replays: { enabled: false } },
  });
}

async function ok(result) {
  const answer = await result;
  assert.equal(answer.status, "ok", `${answer.error?.name} ${answer.error?.message}`);
  return answer.data;
}

async function latestMail(to) {
  const answer = await fetch(`${env.STACK_API_URL}/emulator/outbox.json?to=${encodeURIComponent(to)}`);
  return (await answer.json()).items[0];
}

async function passwordFlow(sdk, email) {
  const app = client(sdk);
  await ok(app.signUpWithCredential({ email, password: PASSWORD, noRedirect: true, noVerificationCallback: true }));
  let user = await app.getUser({ or: "throw" });
  assert.equal(user.primaryEmail, email);
  await user.update({ displayName: "Ada", clientMetadata: { theme: "dark" } });
  user = await app.getUser({ or: "throw" });
  assert.equal(user.displayName, "Ada");
  assert.deepEqual(user.clientMetadata, { theme: "dark" });
  const sessions = await user.getActiveSessions();
  assert.equal(sessions.length, 1);
  await user.signOut();
  assert.equal(await app.getUser(), null);
  return user.id;
}

async function wrongPassword(sdk, email) {
  const app = client(sdk);
  const answer = await app.signInWithCredential({ email, password: "Wrong-Horse-7", noRedirect: true });
  assert.equal(answer.status, "error");
  assert.equal(answer.error.errorCode, "EMAIL_PASSWORD_MISMATCH");
}

async function secondSession(sdk, email) {
  const [one, two] = [client(sdk), client(sdk)];
  await ok(one.signInWithCredential({ email, password: PASSWORD, noRedirect: true }));
  await ok(two.signInWithCredential({ email, password: PASSWORD, noRedirect: true }));
  const user = await one.getUser({ or: "throw" });
  const sessions = await user.getActiveSessions();
  assert.equal(sessions.length, 2);
  const other = sessions.find((session) => !session.isCurrentSession);
  await user.revokeSession(other.id);
  assert.equal((await user.getActiveSessions()).length, 1);
  await user.signOut();
}

async function magicLink(sdk, email) {
  const app = client(sdk);
  await ok(app.sendMagicLinkEmail(email, { callbackUrl: CALLBACK }));
  const mail = await latestMail(email);
  await ok(app.signInWithMagicLink(mail.code, { noRedirect: true }));
  const user = await app.getUser({ or: "throw" });
  assert.equal(user.primaryEmail, email);
  assert.equal(user.primaryEmailVerified, true);
  await user.signOut();
}

async function reset(sdk, email) {
  const app = client(sdk);
  await ok(app.sendForgotPasswordEmail(email, { callbackUrl: CALLBACK }));
  const mail = await latestMail(email);
  await ok(app.resetPassword({ code: mail.code, password: `${PASSWORD}-new` }));
  await ok(app.signInWithCredential({ email, password: `${PASSWORD}-new`, noRedirect: true }));
}

async function allow(config) {
  const answer = await fetch(`${env.STACK_API_URL}/emulator/project`, {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ config }),
  });
  assert.equal(answer.status, 200);
}

async function signedUp(sdk, email) {
  const app = client(sdk);
  await ok(app.signUpWithCredential({ email, password: PASSWORD, noRedirect: true, noVerificationCallback: true }));
  return [app, await app.getUser({ or: "throw" })];
}

async function teams(sdk) {
  await allow({ allow_user_api_keys: true, allow_team_api_keys: true });
  const [, owner] = await signedUp(sdk, "owner@example.com");
  const [guestApp, invited] = await signedUp(sdk, "invited@example.com");
  const team = await owner.createTeam({ displayName: "Red team" });
  await owner.setSelectedTeam(team);
  assert.equal((await owner.listTeams()).length, 1);
  await team.inviteUser({ email: "invited@example.com", callbackUrl: "http://localhost:3000/join" });
  assert.equal((await team.listInvitations()).length, 1);
  const mail = await latestMail("invited@example.com");
  assert.equal((await ok(guestApp.getTeamInvitationDetails(mail.code))).teamDisplayName, "Red team");
  await ok(guestApp.acceptTeamInvitation(mail.code));
  const joined = (await invited.listTeams())[0];
  assert.equal(joined.id, team.id);
  assert.equal((await team.listUsers()).length, 2);
  assert.equal(await owner.hasPermission(team, "$delete_team"), true);
  assert.equal(await invited.hasPermission(joined, "$delete_team"), false);
  assert.equal(await invited.hasPermission(joined, "$read_members"), true);
  const member = await server(sdk).getUser(invited.id);
  await member.grantPermission(await server(sdk).getTeam(team.id), "$delete_team");
  assert.equal(await invited.hasPermission(joined, "$delete_team"), true);
  const key = await owner.createApiKey({ description: "ci", expiresAt: null });
  assert.match(key.value, /^sk_/);
  assert.equal((await owner.listApiKeys()).length, 1);
  assert.equal((await server(sdk).getUser({ apiKey: key.value })).id, owner.id);
  await (await owner.listApiKeys())[0].revoke();
  const teamKey = await team.createApiKey({ description: "ci", expiresAt: null });
  assert.equal((await server(sdk).getTeam({ apiKey: teamKey.value })).id, team.id);
  await invited.leaveTeam(joined);
  assert.equal((await invited.listTeams()).length, 0);
}

async function refreshing(sdk, email) {
  const app = client(sdk);
  await ok(app.signInWithCredential({ email, password: `${PASSWORD}-new`, noRedirect: true }));
  const before = await (await app.getUser({ or: "throw" })).currentSession.getTokens();
  await fetch(`${env.STACK_API_URL}/emulator/clock`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ advance_seconds: 700 }),
  });
  const answer = await fetch(`${env.STACK_API_URL}/api/v1/users/me`, {
    headers: {
      "x-hexclave-access-type": "client",
      "x-hexclave-project-id": env.STACK_PROJECT_ID,
      "x-hexclave-access-token": before.accessToken,
    },
  });
  assert.equal(answer.headers.get("x-hexclave-known-error"), "ACCESS_TOKEN_EXPIRED");
  const user = await app.getUser({ or: "throw" });
  assert.equal(user.primaryEmail, email);
  await user.update({ displayName: "Later" });
}

async function serverSide(sdk, id) {
  const app = server(sdk);
  const user = await app.getUser(id);
  assert.equal(user.id, id);
  await user.update({ serverMetadata: { plan: "pro" } });
  assert.deepEqual((await app.getUser(id)).serverMetadata, { plan: "pro" });
  const made = await app.createUser({ primaryEmail: `made-${id}@example.com`, primaryEmailAuthEnabled: true, password: PASSWORD });
  assert.ok((await app.listUsers()).some((other) => other.id === made.id));
  await made.delete();
  assert.equal(await app.getUser(made.id), null);
}

async function project(sdk) {
  const project = await client(sdk).getProject();
  assert.equal(project.id, env.STACK_PROJECT_ID);
  assert.equal(project.config.credentialEnabled, true);
  assert.equal(project.config.passkeyEnabled, true);
}

// What the newest SDK reads of a project beyond what older ones do: it throws where these are missing.
async function newestProject() {
  const answer = await fetch(`${env.STACK_API_URL}/api/v1/projects/current`, {
    headers: {
      "x-hexclave-access-type": "client",
      "x-hexclave-project-id": env.STACK_PROJECT_ID,
      "x-hexclave-publishable-client-key": env.STACK_PUBLISHABLE_CLIENT_KEY,
    },
  });
  const seen = await answer.json();
  assert.deepEqual(seen.config_warnings.map((warning) => warning.message), []);
  assert.equal(seen.pushed_config_error, null);
  assert.equal(seen.is_development_environment, false);
  for (const name of ["allow_localhost", "allow_promo_codes", "allow_stacking_promo_codes"]) {
    assert.equal(typeof seen.config[name], "boolean", name);
  }
}

async function pages(sdk) {
  const app = server(sdk);
  const made = [];
  for (let number = 0; number < 3; number += 1) made.push((await app.createUser({ displayName: `Page ${number}` })).id);
  const seen = [];
  let cursor;
  do {
    const page = await app.listUsers({ limit: 2, query: "Page", cursor });
    seen.push(...page.map((user) => user.id));
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  assert.deepEqual(seen.sort(), made.sort());
}

async function picture(sdk, email) {
  const app = client(sdk);
  await ok(app.signInWithCredential({ email, password: `${PASSWORD}-new`, noRedirect: true }));
  const user = await app.getUser({ or: "throw" });
  await user.update({ profileImageUrl: PIXEL });
  const served = await fetch((await app.getUser({ or: "throw" })).profileImageUrl);
  assert.equal(served.headers.get("content-type"), "image/png");
}

// The SDK is the tool that starts and polls; the session of a browser completes the sign-in.
async function cliLogin(sdk, email) {
  const app = client(sdk);
  await ok(app.signInWithCredential({ email, password: `${PASSWORD}-new`, noRedirect: true }));
  const user = await app.getUser({ or: "throw" });
  const { refreshToken } = await user.currentSession.getTokens();
  let completed;
  const promptLink = (url) => {
    completed = fetch(`${env.STACK_API_URL}/api/v1/auth/cli/complete`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-stack-access-type": "client",
        "x-stack-project-id": env.STACK_PROJECT_ID,
      },
      body: JSON.stringify({ login_code: new URL(url).searchParams.get("login_code"), refresh_token: refreshToken }),
    });
  };
  const options = { appUrl: "http://localhost:3000", promptLink, waitTimeMillis: 20, maxAttempts: 100 };
  assert.equal(await ok(client(sdk).promptCliLogin(options)), refreshToken);
  assert.deepEqual(await (await completed).json(), { success: true });
  const expired = await client(sdk).promptCliLogin({ ...options, promptLink: () => {}, expiresInMillis: 0 });
  assert.equal(expired.error.errorCode, "CLI_AUTH_EXPIRED_ERROR");
}

const which = process.argv[2];
const sdk = await import(which);
const mark = Buffer.from(webcrypto.getRandomValues(new Uint8Array(4))).toString("hex");
const email = `ada-${mark}@example.com`;
const steps = {
  "signs up, reads and updates the user, lists sessions, signs out": async () => { steps.id = await passwordFlow(sdk, email); },
  "is told that a password is wrong": () => wrongPassword(sdk, email),
  "signs in twice and revokes a session": () => secondSession(sdk, email),
  "sends and uses a magic link": () => magicLink(sdk, `link-${mark}@example.com`),
  "resets a password": () => reset(sdk, email),
  "goes on after its access token has expired": () => refreshing(sdk, email),
  "makes a team, invites, accepts, checks permissions, makes API keys": () => teams(sdk),
  "reads the project": () => project(sdk),
  "finds in it what the newest SDK reads": () => newestProject(),
  "manages users as a server": () => serverSide(sdk, steps.id),
  "reads users page by page, each once": () => pages(sdk),
  "sets a picture": () => picture(sdk, email),
  "signs in to a command-line tool": () => cliLogin(sdk, email),
};
for (const [name, step] of Object.entries(steps)) {
  await step();
  console.log(`ok ${which}: ${name}`);
}
process.exit(0);
