// Before the page is drawn: the colour theme (the person's choice, else the system's preference), and the time zone.
(() => {
  "use strict";
  // The server writes times in the zone this cookie names.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
  const KEY = "theme";
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be blocked; the system's preference then decides
    }
  };
  const current = () => chosen() || (system.matches ? "dark" : "light");
  const apply = () => document.documentElement.setAttribute("data-bs-theme", current());
  apply();
  system.addEventListener("change", apply);
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const next = current() === "dark" ? "light" : "dark";
    try {
      // Back at the system's preference, follow it again.
      if (next === (system.matches ? "dark" : "light")) localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
    } catch {
      document.documentElement.setAttribute("data-bs-theme", next);
      return;
    }
    apply();
  });
})();
