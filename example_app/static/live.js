// The live list: after each change the server sends it anew. Without this script a page shows it as it was when opened.

const list = document.querySelector("#notes");
const state = document.querySelector("#live-state");
const form = document.querySelector("form.write");
const address = new URL(list.dataset.live, location.href.replace(/^http/, "ws"));
const ATTEMPTS = 6; // half a minute
let failures = 0;

function connect() {
  const socket = new WebSocket(address);
  socket.addEventListener("message", ({ data }) => {
    failures = 0;
    state.textContent = "";
    show(data);
  });
  socket.addEventListener("close", () => {
    failures += 1;
    if (failures >= ATTEMPTS) return giveUp();
    if (failures > 1) state.textContent = "Live updates are not available. Reload the page to see new notes.";
    setTimeout(connect, 500 * 2 ** failures);
  });
}

// A script does not learn why a WebSocket is refused; mostly the session is over. Signed-in users come back by the link.
function giveUp() {
  const link = document.createElement("a");
  link.href = `/handler/sign-in?return_to=${encodeURIComponent(location.pathname)}`;
  link.textContent = "Sign in again";
  state.replaceChildren("Live updates have ended. ", link, " to see new notes.");
}

addEventListener("online", () => {
  if (failures < ATTEMPTS) return; // there is an attempt on its way
  failures = 0;
  connect();
});

// Notes that stay are left alone, so that focus and selection stay with them.
function show(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // made by the server's templates, which escape what people wrote
  const wanted = [...template.content.querySelectorAll("li")];
  const ids = new Set(wanted.map((item) => item.id));
  for (const item of [...list.children]) if (!item.id || !ids.has(item.id)) item.remove();
  wanted.forEach((item, index) => {
    if (!item.id || !document.getElementById(item.id)) list.insertBefore(item, list.children[index] ?? null);
  });
}

// A note goes off without the page being loaded anew, so that what others write meanwhile stays in sight.
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (form.dataset.sent) return; // it is on its way
  form.dataset.sent = "yes";
  const body = new URLSearchParams(new FormData(form));
  const answer = await fetch(form.action, { method: "POST", body }).catch(() => null);
  delete form.dataset.sent;
  if (!answer) return (state.textContent = "The note could not be saved. Try again.");
  if (!answer.ok || new URL(answer.url).searchParams.has("error"))
    return location.assign(answer.redirected ? answer.url : location.href);
  form.reset();
  form.elements.text.focus();
});

connect();
