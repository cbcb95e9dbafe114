// Small behaviour that every page shares.
(() => {
  "use strict";
  // Says a sentence to screen readers without moving the focus.
  const announce = (text) => {
    const region = document.getElementById("announcements");
    if (region) region.textContent = text;
  };
  document.addEventListener("announce", (event) => announce(event.detail.text ?? event.detail.value));

  // The OmniBar asks for its content every few seconds: unchanged, it is left alone, so that nothing flickers, no
  // menu loses the focus, and screen readers stay quiet.
  let shown = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target?.id !== "omnibar") return;
    const text = event.detail.xhr.responseText;
    if (pressed) { event.detail.shouldSwap = false; missed = true; }
    else if (text === shown) event.detail.shouldSwap = false;
    else if (event.detail.shouldSwap) shown = text;
  });
  // A button replaced between press and release would swallow the click: while one is held, the bar waits.
  let pressed = false, missed = false;
  document.addEventListener("pointerdown", (event) => { pressed = event.target.closest("#omnibar") !== null; });
  for (const end of ["pointerup", "pointercancel"]) {
    document.addEventListener(end, () => {
      pressed = false;
      if (missed) setTimeout(() => htmx.trigger(document.body, "omnibar:refresh"), 0);
      missed = false;
    });
  }

  // A server that does not answer leaves the page as it was: say so where everybody looks, until it answers again. The
  // OmniBar asks every few seconds, so both are noticed without a click.
  const say = (text, byItself) => {
    const notice = document.getElementById("unanswered");
    if (notice.textContent !== text) notice.textContent = text;
    notice.togglePopover(text !== ""); // a popover lies above an open dialog
    notice.dataset.byItself = byItself;
  };
  const isByItself = (event) => "X-Background" in event.detail.requestConfig.headers;
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, () => say("The Admin App does not answer. This page may be out of date, and nothing you change is stored until it answers again.", true));
  }
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.status < 500 || isByItself(event)) return;
    say("The Admin App failed at this. Its log says why; try again, and download the support bundle if it happens again.", false);
  });
  document.addEventListener("htmx:afterOnLoad", (event) => {
    const notice = document.getElementById("unanswered");
    const ends = notice.dataset.byItself === "true" || !isByItself(event);
    if (!notice.textContent || !ends || event.detail.xhr.status >= 500) return;
    say("", true);
    htmx.trigger(document.body, "answers-again"); // what was asked in vain meanwhile is asked anew
  });

  // A form that was sent is not sent again while its answer is awaited: of two, a browser shows the last alone, and the
  // token that the first one made would never be seen. What htmx sends has its own way.
  const AWAITED_MS = 5000; // a download leaves the page as it is
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method !== "post") return;
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "true";
    setTimeout(() => delete event.target.dataset.sent, AWAITED_MS);
  });

  // Copies the text of another element; without a secure context the old way still works.
  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    const source = button && document.getElementById(button.dataset.copy);
    if (!source) return;
    try {
      await copy(source.value ?? source.textContent);
      announce("Copied.");
      button.dataset.copied = "true";
      setTimeout(() => delete button.dataset.copied, 2000);
    } catch {
      source.hidden = false; // the browser does not let us: show the text to be copied by hand
    }
  });

  // A dialog that arrives opens itself; its Cancel button, Escape and a click beside it close it.
  document.addEventListener("htmx:afterSwap", (event) => {
    const dialog = event.detail.target?.querySelector?.("dialog[data-open]");
    if (!dialog || dialog.open) return;
    // What opened it gets the focus back; by its id, for the OmniBar may have been replaced in the meantime.
    const opener = document.activeElement?.id;
    dialog.addEventListener("close", () => {
      const at = document.activeElement;
      if (at === document.body || dialog.contains(at)) document.getElementById(opener)?.focus();
    });
    dialog.showModal();
  });
  // Only its backdrop counts as beside; its padding, and Enter in a field (a click at 0, 0), do not.
  const isBeside = (event, dialog) => {
    const box = dialog.getBoundingClientRect();
    const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    return event.target === dialog && !inside;
  };
  document.addEventListener("click", (event) => {
    const dialog = event.target.closest("dialog");
    if (dialog && (event.target.closest("[data-close]") || isBeside(event, dialog))) dialog.close();
  });
})();
