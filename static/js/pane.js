// Configuration > Email: what the server can't do from afar. The form's state itself lives on the server.
(() => {
  "use strict";
  const form = document.getElementById("email-form");
  if (!form) return;
  const STASH = "email-form-after-login";
  let leaving = false;

  const changes = () => Number(document.getElementById("form-foot")?.dataset.count ?? 0);

  // Values that the server repaired, filled in or put back.
  document.body.addEventListener("form-values", (event) => {
    for (const [name, value] of Object.entries(event.detail)) {
      const control = form.elements[name];
      if (!control) continue;
      if (control.type === "checkbox") control.checked = value;
      else if (typeof value === "string") control.value = value;
    }
    openServices();
  });

  // A service that is switched on shows its fields.
  const openServices = () => {
    for (const name of ["smtp", "sendgrid"]) {
      if (form.elements[`${name}__enabled`].checked) {
        bootstrap.Collapse.getOrCreateInstance(`#${name}-body`, { toggle: false }).show();
      }
    }
  };
  form.addEventListener("change", (event) => {
    if (event.target.name?.endsWith("__enabled")) openServices();
    if (event.target.id === "id_smtp__preset") {
      document.getElementById("ses-region").hidden = event.target.value !== "ses";
    }
  });

  // Notes are swapped in place; tell assistive technology which fields they call wrong, and show set secrets as a mask.
  const settle = (root) => {
    for (const note of root.querySelectorAll(".note")) {
      const control = form.elements[note.id.replace("note-", "")];
      if (control) control.setAttribute("aria-invalid", String(note.hasAttribute("data-error")));
      if (note.hasAttribute("data-error")) note.closest("details")?.setAttribute("open", "");
    }
    for (const state of root.querySelectorAll(".secret-state")) {
      const control = form.elements[state.id.replace("secret-", "")];
      if (control) control.placeholder = state.dataset.mask ?? "";
    }
  };
  settle(document);
  document.body.addEventListener("htmx:afterRequest", () => settle(document));

  // A test that ended changes the badge in its service's header.
  document.body.addEventListener("test-ended", () => htmx.trigger(form, "change"));

  // The eye shows what is typed now, never what is stored.
  for (const button of document.querySelectorAll("[data-reveal]")) {
    button.addEventListener("click", () => {
      const control = document.getElementById(button.dataset.reveal);
      const show = control.type === "password";
      control.type = show ? "text" : "password";
      button.setAttribute("aria-pressed", String(show));
    });
  }

  // Leaving with unsaved changes asks first.
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && changes() > 0) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-leaves]")) leaving = true;
  });
  document.body.addEventListener("htmx:confirm", (event) => {
    // A question answered with "no" stays on the page.
    if (event.target.closest("[data-leaves]")) setTimeout(() => { leaving = false; }, 0);
  });
  document.body.addEventListener("htmx:beforeOnLoad", (event) => {
    const headers = event.detail.xhr;
    if (headers.getResponseHeader("HX-Redirect")) leaving = true;
    if (headers.status === 401) stash();
  });

  // After a lapsed session the way leads through the login; what was typed waits here, secrets excepted.
  const stash = () => {
    const kept = {};
    for (const control of form.elements) {
      if (!control.name || ["password", "hidden"].includes(control.type) || control.id.includes("password") || control.id.includes("api_key")) continue;
      kept[control.name] = control.type === "checkbox" ? control.checked : control.value;
    }
    sessionStorage.setItem(STASH, JSON.stringify(kept));
  };
  const unstash = () => {
    const text = sessionStorage.getItem(STASH);
    if (!text) return;
    sessionStorage.removeItem(STASH);
    for (const [name, value] of Object.entries(JSON.parse(text))) {
      const control = form.elements[name];
      if (!control) continue;
      if (control.type === "checkbox") control.checked = value;
      else control.value = value;
    }
    const notice = document.createElement("div");
    notice.className = "notice notice-warning";
    notice.textContent = "Your session ended while you typed. What you typed is back, except for passwords and keys: enter those again.";
    document.getElementById("draft-notice").replaceChildren(notice);
    form.dispatchEvent(new Event("change", { bubbles: true }));
  };
  // htmx binds the form when it processes the page, which happens before this event.
  if (document.readyState === "complete") unstash();
  else window.addEventListener("load", unstash);
})();
