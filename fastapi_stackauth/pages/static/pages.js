
// --- the pages: everything works without this, except passkeys ---

// The code of a link in an email does not stay in the history of the browser.
const here = new URL(location.href);
if (here.searchParams.has("code")) {
  here.searchParams.delete("code");
  history.replaceState(null, "", here);
}

// A form is sent once, also if its button is pressed twice.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent; // a page from the browser's cache
  for (const button of document.querySelectorAll("button[aria-busy]")) button.removeAttribute("aria-busy");
});

// A file that is too large is not sent at all.
for (const field of document.querySelectorAll("input[data-max]")) {
  field.addEventListener("change", () => {
    const large = [...field.files].some((file) => file.size > field.dataset.max);
    field.setCustomValidity(large ? field.dataset.problem : "");
  });
}

const PASSKEY_USED = "stackauth-passkey-used";
const passkey = document.querySelector("#passkey");

function rememberPasskey() {
  try {
    localStorage.setItem(PASSKEY_USED, "yes");
  } catch {} // a browser may have no storage
}

function hasPasskey() {
  try {
    return localStorage.getItem(PASSKEY_USED) === "yes";
  } catch {
    return false;
  }
}

/** The text of an error, in the language of the page. */
function explain(error, element) {
  const texts = JSON.parse(element.dataset.texts);
  return texts[error.code] ?? texts.failed;
}

async function offerPasskey() {
  const problem = document.querySelector("#passkey-problem");
  const succeed = () => {
    rememberPasskey();
    location.assign(passkey.dataset.next);
  };
  const fail = (error) => {
    if (error.code === "canceled") return;
    if (error.code === "mfa_required") return location.assign(passkey.dataset.mfa);
    passkey.hidden = false;
    problem.textContent = explain(error, passkey);
    problem.hidden = false;
  };
  passkey.hidden = !(hasPasskey() || "only" in passkey.dataset);
  let waiting = new AbortController();
  document.querySelector("#passkey-sign-in").addEventListener("click", () => {
    waiting.abort(); // a browser asks for one passkey at a time
    waiting = new AbortController();
    problem.hidden = true;
    signIn({ signal: waiting.signal }).then(succeed, fail);
  });
  const field = document.querySelector("[autocomplete~=webauthn]");
  if (field && (await conditionalSupported())) {
    signIn({ conditional: true, signal: waiting.signal }).then(succeed, fail);
  }
}

if (passkey && supported()) offerPasskey();

const adding = document.querySelector("#passkey-add");
if (adding && supported()) {
  const problem = document.querySelector("#passkey-problem");
  adding.hidden = false;
  document.querySelector("#passkey-register").addEventListener("click", () => {
    problem.hidden = true;
    register().then(
      () => {
        rememberPasskey();
        location.assign(adding.dataset.next);
      },
      (error) => {
        problem.textContent = explain(error, adding);
        problem.hidden = false;
      },
    );
  });
}
