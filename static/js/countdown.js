// Counts down what carries data-countdown="seconds left". At zero the OmniBar is asked what happened.
(() => {
  "use strict";
  const ends = new WeakMap();
  const show = () => {
    for (const element of document.querySelectorAll("[data-countdown]")) {
      if (!ends.has(element)) ends.set(element, performance.now() + Number(element.dataset.countdown) * 1000);
      const left = Math.max(0, Math.round((ends.get(element) - performance.now()) / 1000));
      const text = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
      if (element.textContent !== text) element.textContent = text;
      if (left === 0 && !element.dataset.over) {
        element.dataset.over = "1";
        if (window.htmx) setTimeout(() => htmx.trigger(document.body, "omnibar:refresh"), 1500);
      }
    }
  };
  setInterval(show, 250);
  document.addEventListener("DOMContentLoaded", show);
})();
