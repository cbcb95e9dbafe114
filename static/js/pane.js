// Configuration > Email: what the server can't do from afar. The form's state itself lives on the server.
(() => {
  "use strict";
  const form = document.getElementById("email-form");
  if (!form) return;
  const STASH = "email-form-after-login";
  const typedSince = new Set(); // fields typed into since the last request was made
  const announced = new Map();
  let leaving = false;

  const notice = (place, kind, text) => {
    const box = document.createElement("div");
    box.className = `notice notice-${kind}`;
    box.setAttribute("role", "alert");
    box.textContent = text;
    document.getElementById(place).replaceChildren(box);
  };

  // Values that the server repaired, filled in, put back or took out.
  const showValues = () => {
    const carrier = document.getElementById("form-values");
    const values = JSON.parse(carrier.dataset.values || "{}");
    carrier.dataset.values = "";
    for (const [name, value] of Object.entries(values)) {
      const control = form.elements[name];
      if (!control || typedSince.has(name)) continue;
      if (control.type === "checkbox") control.checked = value;
      else control.value = value;
    }
    showServices();
  };

  // A service that is switched on shows its fields; the region belongs to one preset.
  const showServices = () => {
    for (const name of ["smtp", "sendgrid"]) if (form.elements[`${name}__enabled`].checked) open(name);
    document.getElementById("ses-region").hidden = form.elements.smtp__preset.value !== "ses";
  };
  const open = (service) => bootstrap.Collapse.getOrCreateInstance(`#${service}-body`, { toggle: false }).show();
  form.addEventListener("change", showServices);

  // Notes are swapped in place; tell assistive technology which fields they call wrong, and show set secrets as a mask.
  const settle = () => {
    const news = [];
    for (const note of document.querySelectorAll("#email-form .note")) {
      const control = form.elements[note.id.replace("note-", "")];
      const wrong = note.hasAttribute("data-error");
      control?.setAttribute("aria-invalid", String(wrong));
      if (wrong) note.closest("details")?.setAttribute("open", "");
      const text = note.querySelector(".note-error, .note-repair")?.textContent.trim() ?? "";
      if (text && announced.get(note.id) !== text) news.push(`${control?.labels?.[0]?.textContent.trim() ?? ""}: ${text}`);
      announced.set(note.id, text);
    }
    for (const state of document.querySelectorAll(".secret-state")) {
      const control = form.elements[state.id.replace("secret-", "")];
      if (control) control.placeholder = state.dataset.mask ?? "";
    }
    return news;
  };
  settle();
  // The outcome of a test belongs to what was tested: it says so as soon as the form shows something else.
  const judgeTest = () => {
    const run = document.querySelector("#test-run > .run[data-content]");
    if (!run) return "";
    const old = run.dataset.content !== document.getElementById("form-values").dataset.content;
    const sentence = run.querySelector(".run-stale");
    const isNews = old && !run.classList.contains("is-stale");
    run.classList.toggle("is-stale", old);
    sentence.hidden = !old;
    return isNews ? sentence.textContent : "";
  };
  document.body.addEventListener("htmx:afterSettle", judgeTest);
  document.body.addEventListener("htmx:afterRequest", () => {
    showValues();
    const news = [...settle(), judgeTest()].filter(Boolean);
    if (news.length) document.dispatchEvent(new CustomEvent("announce", { detail: { text: news.join(" ") } }));
  });

  // What was typed while the server did not answer is not stored: say so, and ask before it is left.
  form.addEventListener("input", (event) => {
    typedSince.add(event.target.name);
    document.querySelector("#test-run > .notice-error")?.remove(); // why the form could not be tested may be mended now
  });
  document.body.addEventListener("htmx:beforeSend", (event) => {
    if (event.detail.requestConfig.parameters.form) typedSince.clear();
  });
  const unanswered = (event) => {
    const sent = event.detail.requestConfig.parameters;
    if (!sent.form || event.detail.xhr?.status === 401) return;
    for (const control of form.elements) if (control.type !== "hidden" && control.name) typedSince.add(control.name);
    notice("draft-notice", "error", "The server did not answer, so what you typed last is not stored yet. It stays on this page; change any field to try again.");
  };
  document.body.addEventListener("htmx:sendError", unanswered);
  document.body.addEventListener("htmx:responseError", unanswered);
  document.body.addEventListener("answers-again", () => { if (typedSince.size) htmx.trigger(form, "change"); });

  // A test that ended changes the badge in its service's header.
  document.body.addEventListener("test-ended", () => htmx.trigger(form, "change"));

  // Buttons that go with the note they stand in: the form asks, which stays, and the focus goes to their field.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-ask]");
    if (!button) return;
    htmx.ajax("POST", form.action, { source: form, swap: "none", values: { [button.dataset.ask]: button.value } });
    form.elements[button.parentElement.id.replace(/^(note|secret)-/, "")]?.focus();
  });

  // Leaving a field by pressing a button asks the server, and its answer may replace the button before it is released,
  // which would swallow the click: what is pressed waits. What did not change stays as it is.
  let pressed = null, missed = false;
  document.addEventListener("pointerdown", (event) => { pressed = event.target; });
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, () => setTimeout(() => {
      pressed = null;
      if (missed) htmx.trigger(form, "change");
      missed = false;
    }, 0));
  }
  document.body.addEventListener("htmx:oobBeforeSwap", (event) => {
    const { target, fragment } = event.detail;
    if (target.contains(pressed)) { event.detail.shouldSwap = false; missed = true; }
    else if (target.isEqualNode(fragment.firstElementChild)) event.detail.shouldSwap = false;
  });

  // The eye shows what is typed now, never what is stored.
  for (const button of document.querySelectorAll("[data-reveal]")) {
    button.addEventListener("click", () => {
      const control = document.getElementById(button.dataset.reveal);
      const show = control.type === "password";
      control.type = show ? "text" : "password";
      button.setAttribute("aria-pressed", String(show));
    });
  }

  // A link to a field opens what it is folded into.
  const goTo = (hash) => {
    const field = /^#field-\w+$/.test(hash) ? document.querySelector(hash) : null;
    if (!field) return false;
    field.closest("details")?.setAttribute("open", "");
    const body = field.closest(".collapse");
    if (body) open(body.id.replace("-body", ""));
    field.scrollIntoView({ block: "center" });
    field.querySelector("input, select, textarea")?.focus({ preventScroll: true });
    return true;
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href*='#field-']");
    if (!link || !goTo(link.hash)) return;
    event.preventDefault();
    // Closing a dialog gives the focus back to what opened it; the field wants it.
    setTimeout(() => goTo(link.hash), 0);
  });
  goTo(location.hash);

  // Leaving with unsaved changes asks first.
  window.addEventListener("beforeunload", (event) => {
    if (!leaving && (typedSince.size || Number(document.getElementById("form-foot").dataset.count) > 0)) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("a[data-leaves]")) leaving = true;
  });
  // A page out of the browser's memory may be older than the draft.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) { leaving = true; location.reload(); }
  });
  document.body.addEventListener("htmx:beforeOnLoad", (event) => {
    const answer = event.detail.xhr;
    if (answer.getResponseHeader("HX-Redirect")) leaving = true;
    if (answer.status === 401 && leaving) stash();
  });

  // After a lapsed session the way leads through the login; what was typed waits here, secrets excepted.
  const stash = () => {
    const kept = { user: form.dataset.user, values: {} };
    for (const control of form.elements) {
      if (!control.name || control.closest(".secret") || control.name === "csrfmiddlewaretoken") continue;
      kept.values[control.name] = control.type === "checkbox" ? control.checked : control.value;
    }
    sessionStorage.setItem(STASH, JSON.stringify(kept));
  };
  const unstash = () => {
    const kept = JSON.parse(sessionStorage.getItem(STASH) ?? "null");
    sessionStorage.removeItem(STASH);
    if (kept?.user !== form.dataset.user) return;
    for (const [name, value] of Object.entries(kept.values)) {
      const control = form.elements[name];
      if (!control) continue;
      if (control.type === "checkbox") control.checked = value;
      else control.value = value;
    }
    notice("session-notice", "warning", "Your session ended while you typed. What you typed is back, except for passwords and keys: enter those again.");
    form.dispatchEvent(new Event("change", { bubbles: true }));
  };
  // htmx binds the form when it processes the page, which happens before this event.
  if (document.readyState === "complete") unstash();
  else window.addEventListener("load", unstash);
})();
