// Small behaviour that every page shares.
(() => {
  "use strict";
  // Says a sentence to screen readers without moving the focus.
  const announce = (text) => {
    const region = document.getElementById("announcements");
    if (region) region.textContent = text;
  };
  document.addEventListener("announce", (event) => announce(event.detail.text ?? event.detail.value));

  // The OmniBar is replaced while a person may be on it: keep the focus where it was.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "omnibar") return;
    // Unchanged: leave it, so that nothing flickers and screen readers stay quiet.
    if (event.detail.xhr.responseText.trim() === event.detail.target.dataset.shown) event.detail.shouldSwap = false;
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const bar = document.getElementById("omnibar");
    if (bar && event.detail.xhr && event.detail.target.id === "omnibar") {
      bar.dataset.shown = event.detail.xhr.responseText.trim();
    }
  });

  // A dialog that arrives opens itself; its Cancel button, Escape and a click beside it close it.
  document.addEventListener("htmx:afterSwap", (event) => {
    const dialog = event.detail.target.querySelector?.("dialog[data-open]");
    if (dialog && !dialog.open) dialog.showModal();
  });
  document.addEventListener("click", (event) => {
    const dialog = event.target.closest("dialog");
    if (dialog && (event.target === dialog || event.target.closest("[data-close]"))) dialog.close();
  });
})();
