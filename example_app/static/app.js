// Who is signed in, the server's cookies know: no token is in reach of this script.
const status = document.querySelector("#status");
const answer = document.querySelector("#answer");

async function call(method, path, body) {
  const headers = body ? { "content-type": "application/json" } : {};
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  return { ok: response.ok, status: response.status, data: text ? JSON.parse(text) : null };
}

function show(result, message) {
  status.textContent = message ?? `${result.status} ${result.ok ? "OK" : result.data?.detail ?? ""}`;
  answer.textContent = result.data ? JSON.stringify(result.data, null, 2) : "";
}

document.querySelector("#sign").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { email, password } = Object.fromEntries(new FormData(event.target));
  const result = await call("POST", `/auth/password/${event.submitter.value}`, { email, password });
  show(result, result.ok ? `Signed in as ${email}.` : undefined);
});

for (const button of document.querySelectorAll("[data-get]")) {
  button.addEventListener("click", async () => show(await call("GET", button.dataset.get)));
}

document.querySelector("#sign-out").addEventListener("click", async () => {
  const result = await call("POST", "/auth/sign-out");
  show(result, result.ok ? "Signed out." : undefined);
});
