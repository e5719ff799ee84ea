/* The map editor: search, keys and dragging. What is changed is kept by the server. */
(() => {
  "use strict";

  const grid = () => document.querySelector("[data-grid]");
  const linesOf = (scope) => [...scope.querySelectorAll("tbody[data-line]")];

  /* Search and the choice of lines; what hides a line changes nothing. */
  const textOf = (line) =>
    [...line.querySelectorAll("input:not([type=checkbox]), .dw-lines__ruled, .dw-said__box")]
      .map((part) => part.value ?? part.textContent).join(" ").toLowerCase();
  const SHOWN = {
    "": () => true,
    finding: (line) => line.querySelector(".dw-said__one") !== null,
    changed: (line) => line.querySelector(".dw-said__box")?.dataset.state !== "",
    rule: (line) => line.querySelector("[id^=ruled-]")?.textContent.trim() !== "",
    key: (line) => line.querySelector("[name=key]")?.checked,
  };
  const asked = new URLSearchParams(window.location.search);
  const remembered = { text: asked.get("search") || "", show: "" };
  const search = () => {
    const area = grid();
    if (!area) return;
    const words = remembered.text.toLowerCase().split(/\s+/).filter(Boolean);
    const lines = linesOf(area);
    let shown = 0;
    lines.forEach((line) => {
      const text = words.length ? textOf(line) : "";
      const fits = SHOWN[remembered.show](line) && words.every((w) => text.includes(w));
      line.hidden = !fits;
      shown += fits;
    });
    const count = area.querySelector("[data-line-count]");
    if (count) {
      const word = lines.length === 1 ? "line" : "lines";
      count.textContent = shown === lines.length
        ? `${shown} ${word}` : `${shown} of ${lines.length} ${word}`;
    }
  };
  /* A name that its field cuts off is told below it in full. */
  const letterWidth = (field) => {
    if (!field) return 0;
    const ink = document.createElement("canvas").getContext("2d");
    ink.font = getComputedStyle(field).font;
    return ink.measureText("m".repeat(40)).width / 40;
  };
  const tellWhole = (scope) => {
    const fields = [...scope.querySelectorAll("input + [data-whole]")]
      .map((whole) => [whole.previousElementSibling, whole]);
    const letter = letterWidth(fields[0]?.[0]);
    const cut = fields.map(([field]) => field.value.length * letter > field.clientWidth - 18);
    fields.forEach(([field, whole], at) => {
      whole.hidden = !cut[at];
      whole.textContent = cut[at] ? field.value.replace(/[._]/g, "$&\u200b") : "";
    });
  };
  document.addEventListener("input", (event) => {
    const cell = event.target.matches?.("[data-grid] input[list]") && event.target.parentElement;
    if (cell) tellWhole(cell);
  });
  const widths = new ResizeObserver((seen) => seen.forEach((one) => tellWhole(one.target)));

  const onSearch = (event) => {
    if (event.target.matches?.("[data-line-search]")) remembered.text = event.target.value;
    else if (event.target.matches?.("[data-line-show]")) remembered.show = event.target.value;
    else return;
    search();
  };
  document.addEventListener("input", onSearch);
  document.addEventListener("change", onSearch);

  /* A new grid keeps the search and puts the focus where the server says. */
  const settle = () => {
    const area = grid();
    if (!area || area.dataset.settled) return;
    area.dataset.settled = "1";
    widths.disconnect();
    widths.observe(area);
    const text = area.querySelector("[data-line-search]");
    const show = area.querySelector("[data-line-show]");
    if (text) text.value = remembered.text;
    if (show) show.value = remembered.show;
    search();
    const wanted = area.dataset.focus && document.getElementById(area.dataset.focus);
    if (wanted) {
      const line = wanted.closest("tbody");
      if (line) line.hidden = false;
      wanted.focus();
      wanted.scrollIntoView({ block: "nearest" });
      if (wanted.dataset.panel) wanted.click();
    }
  };
  document.addEventListener("DOMContentLoaded", settle);
  document.addEventListener("htmx:afterSettle", settle);

  /* From an error: the rule of the failing line opens, and the value that it does not
     know is begun as a pair. It is kept once the other half is typed. */
  const failing = { open: asked.has("open"), value: asked.get("value"), side: asked.get("side") };
  document.addEventListener("DOMContentLoaded", () => {
    const area = grid();
    if (!area || !failing.open) return;
    const wanted = (asked.get("open") || "").toLowerCase();
    const line = linesOf(area).find((one) => [...one.querySelectorAll("[name=finops], [name=dataverse]")]
      .some((field) => field.value.toLowerCase().split(".")[0] === wanted));
    window.setTimeout(() => line?.querySelector("[data-panel]")?.click(), 0);
  });
  const beginPair = (panel) => {
    const area = panel.querySelector("textarea[name=pairs]:not([readonly])");
    if (!failing.value || !area) return;
    const first = failing.side !== "dataverse";
    const lines = area.value.split("\n").filter((line) => line.trim() !== "");
    const known = lines.some((line) => {
      const halves = line.split("\t");
      return (halves[first ? 0 : 1] ?? "").trim().toLowerCase() === failing.value.toLowerCase();
    });
    if (!known) {
      lines.push(first ? `${failing.value}\t` : `\t${failing.value}`);
      area.value = lines.join("\n");
    }
    const end = first ? area.value.length : area.value.length - failing.value.length - 1;
    failing.value = null;
    area.focus();
    area.setSelectionRange(end, end);
    area.scrollTop = area.scrollHeight;
    return true;
  };

  /* The rule of a line opens below it; the same button closes it. */
  document.addEventListener("htmx:beforeRequest", (event) => {
    const button = event.detail.elt;
    if (!button.dataset?.panel) return;
    const panel = document.getElementById(`panel-${button.dataset.panel}`);
    const open = panel.childElementCount > 0;
    button.setAttribute("aria-expanded", String(!open));
    if (!open) return;
    event.preventDefault();
    panel.replaceChildren();
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const panel = event.detail.target;
    if (panel.id?.startsWith("panel-") && panel.matches("td")) {
      if (beginPair(panel)) return;
      (panel.querySelector("[data-decision] tbody [data-cell]")
        ?? panel.querySelector("input, select, textarea"))?.focus();
    }
  });

  /* The grid of a decision table. Its rules are kept by the server, which says where the
     focus goes after a step; a spreadsheet's cells are pasted from a cell on. */
  const cellOf = (table, place) => table.querySelector(`[data-cell="${place}"]`);
  const settleRules = () => {
    document.querySelectorAll("[data-decision][data-focus]").forEach((table) => {
      cellOf(table, table.dataset.focus)?.focus();
      table.removeAttribute("data-focus");
    });
  };
  document.addEventListener("htmx:afterSettle", settleRules);
  document.addEventListener("paste", (event) => {
    const cell = event.target.closest?.("[data-decision] tbody [data-cell]");
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!cell || cell.readOnly || !/[\t\n]/.test(text.trim())) return;
    event.preventDefault();
    const table = cell.closest("[data-decision]");
    const [at, column] = cell.dataset.cell.split("-");
    Object.entries({ paste: text, at, column }).forEach(([name, value]) => {
      const field = table.querySelector(`[type=hidden][name="${name}"]`);
      field.disabled = false;
      field.value = value;
    });
    table.querySelector("[data-paste]").click();
  });
  document.addEventListener("keydown", (event) => {
    const cell = event.target.closest?.("[data-decision] [data-cell]");
    if (!cell) return;
    const table = cell.closest("[data-decision]");
    const rule = cell.closest("[data-rule]");
    const press = (scope, selector) => {
      event.preventDefault();
      scope.querySelector(selector)?.click();
    };
    if (event.altKey) {
      const scope = rule ?? cell.closest("th");
      const keys = rule
        ? { ArrowUp: "[data-rule-up]", ArrowDown: "[data-rule-down]",
            Insert: "[data-rule-add]", Delete: "[data-rule-remove]" }
        : { ArrowLeft: "[data-left]", ArrowRight: "[data-right]",
            Delete: "[data-remove-source]" };
      if (keys[event.key]) press(scope, keys[event.key]);
      return;
    }
    if (event.key !== "Enter") return;
    event.preventDefault();
    const [at, column] = cell.dataset.cell.split("-");
    const row = at === "source" ? -1 : Number(at);
    const next = cellOf(table, `${row + (event.shiftKey ? -1 : 1)}-${column}`);
    if (next) {
      next.focus();
      next.select();
    } else if (!event.shiftKey) press(table, "[data-testid=add-rule]");
  });

  /* Who types a default wants one. */
  document.addEventListener("input", (event) => {
    if (!event.target.matches?.(".dw-panel__box [name=default]")) return;
    const box = event.target.closest(".dw-panel__box").querySelector("[name=has_default]");
    if (box && event.target.value) box.checked = true;
  }, true);

  /* Keys. */
  const step = (field, by) => {
    const shown = linesOf(grid()).filter((line) => !line.hidden);
    const at = shown.indexOf(field.closest("tbody"));
    const next = shown[at + by]?.querySelector(`[name="${field.name}"]`);
    if (!next) return false;
    next.focus();
    next.select?.();
    return true;
  };
  document.addEventListener("keydown", (event) => {
    const area = grid();
    if (!area) return;
    const typing = event.target.closest?.("input, select, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      area.querySelector("[data-line-search]")?.focus();
      return;
    }
    const line = event.target.closest?.("tbody[data-line]");
    if (!line || event.target.closest(".dw-panel")) return;
    const press = (selector) => {
      event.preventDefault();
      line.querySelector(selector)?.click();
    };
    if (event.altKey) {
      if (event.key === "ArrowUp") press("[data-up]");
      else if (event.key === "ArrowDown") press("[data-down]");
      else if (event.key === "Insert") press("[data-add]");
      else if (event.key === "Delete") press("[data-remove]");
      else if (event.key === "Enter") press("[data-panel]");
      return;
    }
    if (event.key === "Enter" && typing && step(typing, event.shiftKey ? -1 : 1)) {
      event.preventDefault();
    }
  });

  /* Dragging by the handle. The field that is left is saved before. */
  let dragged = null;
  document.addEventListener("pointerdown", (event) => {
    const line = event.target.closest?.("[data-handle]")?.closest("tbody");
    if (line) line.draggable = true;
  });
  document.addEventListener("pointerup", () => {
    document.querySelectorAll("tbody[draggable=true]").forEach((line) => {
      line.draggable = false;
    });
  });
  document.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.("tbody[data-line]") ?? null;
    dragged?.classList.add("dw-dragged");
  });
  document.addEventListener("dragover", (event) => {
    const over = event.target.closest?.("tbody[data-line]");
    if (!dragged || !over) return;
    event.preventDefault();
    if (over === dragged) return;
    const box = over.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) over.before(dragged);
    else over.after(dragged);
  });
  document.addEventListener("dragend", () => {
    const line = dragged;
    dragged = null;
    if (!line) return;
    line.draggable = false;
    line.classList.remove("dw-dragged");
    let next = line.nextElementSibling;
    while (next && !next.dataset?.line) next = next.nextElementSibling;
    const address = `${grid().dataset.move}${line.dataset.line}/move/`;
    htmx.ajax("POST", address, {
      source: grid(),
      target: "#grid",
      swap: "outerHTML",
      values: { before: next?.dataset.line ?? "" },
    });
  });
})();
