/* Small help for the wizard's lists; every step works without it. */
(() => {
  "use strict";

  const boxesOf = (place) =>
    [...place.querySelectorAll("[data-text] input[type=checkbox], tr input[type=checkbox]")]
      .filter((box) => !box.disabled);
  const hidden = (box) => box.closest("[data-text]")?.hidden === true;

  /* How many are ticked, altogether and in each package. */
  const count = (form) => {
    const boxes = boxesOf(form);
    const ticked = boxes.filter((box) => box.checked).length;
    const text = form.querySelector("[data-tick-count]");
    if (text) text.textContent = `${ticked} of ${boxes.length} chosen`;
    form.querySelectorAll("[data-package]").forEach((group) => {
      const chosen = boxesOf(group).filter((box) => box.checked).length;
      const place = group.querySelector("[data-package-count]");
      if (place) place.textContent = chosen;
    });
  };
  const countAll = () => document.querySelectorAll("form[data-ticks]").forEach(count);

  /* Maps take along the maps they refer to, and say so. */
  const takeAlong = (form, boxes) => {
    const related = form.querySelector("[data-related]");
    if (!related?.checked) return;
    const byName = new Map(
      [...form.querySelectorAll("input[data-needs]")].map((box) => [box.value, box]));
    const added = [];
    const waiting = boxes.filter((box) => box.checked && box.dataset.needs);
    while (waiting.length) {
      waiting.pop().dataset.needs.split("|").forEach((name) => {
        const other = byName.get(name);
        if (!other || other.disabled || other.checked) return;
        other.checked = true;
        added.push(name);
        if (other.dataset.needs) waiting.push(other);
      });
    }
    const said = form.querySelector("[data-needs-said]");
    if (said) {
      said.hidden = added.length === 0;
      said.textContent = added.length
        ? `Ticked along, because they are referred to: ${added.join(", ")}.` : "";
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[data-tick], button[data-tick-package]");
    if (!button) return;
    const form = button.closest("form");
    const place = button.dataset.tick ? form : button.closest("[data-package]");
    const wanted = (button.dataset.tick || button.dataset.tickPackage) === "all";
    const boxes = boxesOf(place).filter((box) => !hidden(box));
    boxes.forEach((box) => { box.checked = wanted; });
    if (wanted) takeAlong(form, boxes);
    count(form);
  });

  document.addEventListener("change", (event) => {
    const form = event.target.closest?.("form[data-ticks]");
    if (!form) return;
    if (event.target.matches("[data-all-masters]") && event.target.value) {
      form.querySelectorAll("select[data-master]").forEach((select) => {
        select.value = event.target.value;
      });
    }
    if (event.target.matches("input[data-needs]")) takeAlong(form, [event.target]);
    /* A company that gets its counterpart takes part. */
    if (event.target.matches("select[name=dataverse]")) {
      const box = event.target.closest("tr")?.querySelector("input[type=checkbox]");
      if (box) box.checked = event.target.value !== "";
    }
    count(form);
  });

  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("input[data-search]")) return;
    const wanted = event.target.value.trim().toLowerCase();
    const form = event.target.closest("form");
    form.querySelectorAll("[data-text]").forEach((row) => {
      row.hidden = wanted !== "" && !row.dataset.text.toLowerCase().includes(wanted);
    });
    form.querySelectorAll("[data-package]").forEach((group) => {
      const found = group.querySelectorAll("[data-text]:not([hidden])").length;
      group.hidden = found === 0;
      if (wanted !== "" && found) group.open = true;
    });
  });
  /* Enter in the search must not send the step. */
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches?.("input[data-search]")) {
      event.preventDefault();
    }
  });

  document.addEventListener("DOMContentLoaded", countAll);
  window.addEventListener("pageshow", countAll);
})();
