/* Of an alert rule's form, show only what matters for what it looks at. */
(() => {
  "use strict";

  const HOW_MANY = {
    errors: "Errors, at least",
    queue_changes: "Changes, at least",
    queue_bytes: "Bytes, at least",
    queue_minutes: "Minutes, at least",
    lag_seconds: "Seconds, at least",
    retained_bytes: "Bytes, at least",
    stream_down: "Minutes, at least",
    drift: "Differences, at least",
  };

  const refresh = (form) => {
    const measure = form.querySelector("#id_measure");
    const how = form.querySelector("label[for=id_threshold]");
    form.querySelectorAll("[data-for]").forEach((field) => {
      field.hidden = !field.dataset.for.split(" ").includes(measure.value);
    });
    if (how) how.textContent = HOW_MANY[measure.value] ?? "How many";
  };
  const refreshAll = () =>
    document.querySelectorAll("form[data-rule-form]").forEach(refresh);

  document.addEventListener("change", (event) => {
    if (event.target.id === "id_measure") refreshAll();
  });
  document.addEventListener("DOMContentLoaded", refreshAll);
  window.addEventListener("pageshow", refreshAll);
})();
