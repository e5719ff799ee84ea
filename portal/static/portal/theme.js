/* The look chosen in the profile; where it was chosen anew, it replaces what the
   browser kept. The switch of the page goes for this browser alone. */
(() => {
  "use strict";
  const wanted = document.currentScript.dataset.theme;
  if (!wanted || localStorage.getItem("profileTheme") === wanted) return;
  localStorage.setItem("profileTheme", wanted);
  localStorage.setItem("adminTheme", JSON.stringify(wanted));
})();
