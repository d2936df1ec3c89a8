// Tokens are kept in memory only: a script that gets into the page later finds none in storage.
let tokens = null;

const status = document.querySelector("#status");
const answer = document.querySelector("#answer");
const signOut = document.querySelector("#sign-out");

async function call(method, path, body) {
  const headers = {};
  if (body) headers["content-type"] = "application/json";
  if (tokens) headers.authorization = `Bearer ${tokens.access_token}`;
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  return { ok: response.ok, status: response.status, data: text ? JSON.parse(text) : null };
}

function show(result, message) {
  status.textContent = message ?? `${result.status} ${result.ok ? "OK" : result.data?.detail ?? ""}`;
  answer.textContent = result.data ? JSON.stringify(result.data, masked, 2) : "";
  signOut.disabled = !tokens;
}

function masked(key, value) {
  return key.endsWith("_token") && typeof value === "string" ? `${value.slice(0, 6)}…` : value;
}

document.querySelector("#sign").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { email, password } = Object.fromEntries(new FormData(event.target));
  const result = await call("POST", `/api/auth/password/${event.submitter.value}`, { email, password });
  if (result.ok) tokens = result.data;
  show(result, result.ok ? `Signed in as ${email}.` : undefined);
});

for (const button of document.querySelectorAll("[data-get]")) {
  button.addEventListener("click", async () => show(await call("GET", button.dataset.get)));
}

signOut.addEventListener("click", async () => {
  const result = await call("POST", "/api/auth/sign-out", { refresh_token: tokens.refresh_token });
  if (result.ok) tokens = null;
  show(result, result.ok ? "Signed out." : undefined);
});
