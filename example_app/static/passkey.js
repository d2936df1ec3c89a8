// Passkeys: the library's module does the work, this says what became of it.
import { conditionalSupported, register, signIn, supported } from "/auth/passkey.js";

const problem = document.querySelector("#passkey-problem");
const offer = document.querySelector("#passkey");
const signInButton = document.querySelector("#passkey-sign-in");
const registerButton = document.querySelector("#passkey-register");

function show(error) {
  if (error.code === "mfa_required") return go("/sign-in", { mfa: "required", return_to: offer.dataset.then });
  problem.textContent = error.message;
  problem.hidden = false;
}

function go(path, query) {
  location.assign(`${path}?${new URLSearchParams(query)}`);
}

if (supported() && signInButton) {
  const then = () => location.assign(offer.dataset.then);
  let waiting = new AbortController();
  offer.hidden = false;
  if (await conditionalSupported()) {
    signIn({ conditional: true, signal: waiting.signal }).then(then, (error) => error.code !== "canceled" && show(error));
  }
  signInButton.addEventListener("click", () => {
    waiting.abort(); // a browser asks for one passkey at a time
    waiting = new AbortController();
    problem.hidden = true;
    signIn({ signal: waiting.signal }).then(then, show);
  });
}

if (supported() && registerButton) {
  registerButton.hidden = false;
  registerButton.addEventListener("click", () => {
    problem.hidden = true;
    register().then(() => go("/account", { done: "passkey" }), show);
  });
}
