// Forms work without this. It sends none twice, and keeps a typed address when a form comes back with an error.

const failed = new URLSearchParams(location.search).has("error");

for (const field of document.querySelectorAll("[data-keep]")) {
  const key = `typed:${field.id}`;
  if (failed && !field.value) field.value = sessionStorage.getItem(key) ?? "";
  sessionStorage.removeItem(key);
  field.form.addEventListener("submit", () => sessionStorage.setItem(key, field.value));
}

document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) event.preventDefault();
  else event.target.dataset.sent = "yes";
});

// A page that comes back from the browser's cache may be sent again.
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
