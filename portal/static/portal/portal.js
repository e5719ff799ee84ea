/* Small help for the pages; everything works without it. */
(() => {
  "use strict";

  const PULSE_MILLISECONDS = 2000;

  /* Live regions listen for this event; a hidden page asks for nothing. */
  const pulse = () => {
    if (document.visibilityState === "visible") {
      document.body.dispatchEvent(new CustomEvent("portal-pulse"));
    }
  };
  setInterval(pulse, PULSE_MILLISECONDS);

  /* "3 min ago" stays true on a page that is left open; as the filter `ago` says it.
     By the time of the server, which the page was made at: clocks of browsers differ. */
  const made = Date.now();
  const ago = (seconds) => {
    if (Math.abs(seconds) < 5) return "just now";
    const size = Math.abs(seconds);
    const [unit, word] = size < 120 ? [1, "s"] : size < 7200 ? [60, "min"]
      : size < 172800 ? [3600, "h"] : [86400, "d"];
    const text = `${size < 10 ? size.toFixed(1) : Math.round(size / unit)} ${word}`;
    return seconds > 0 ? `${text} ago` : `in ${text}`;
  };
  const keepTrue = () => {
    const server = Number(document.querySelector("[data-now]")?.dataset.now);
    if (!server || document.visibilityState !== "visible") return;
    const now = server + (Date.now() - made) / 1000;
    document.querySelectorAll("time[data-ago]").forEach((time) => {
      const text = ago(now - Date.parse(time.dateTime) / 1000);
      if (time.textContent !== text) time.textContent = text;
    });
  };
  setInterval(keepTrue, 5 * PULSE_MILLISECONDS);
  document.addEventListener("visibilitychange", pulse);

  /* Rows do not move under the pointer or away from the focus: such a part waits.
     One that is above others ("page") waits while the pointer is on any of them. */
  const pointed = matchMedia("(hover: hover)");
  const held = (part) => {
    if (!part.matches?.("[data-still]")) return false;
    if (part.contains(document.activeElement)) return true;
    if (!pointed.matches) return false;
    return part.dataset.still === "page"
      ? document.querySelector(".dw-page :is(tr, li, a, button):hover") !== null
      : part.matches(":hover");
  };

  /* What has not changed is not touched: nothing flickers, no click is lost. */
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    const fresh = event.detail.fragment.firstElementChild;
    const { target } = event.detail;
    const same = fresh && fresh.innerHTML === target.innerHTML && fresh.disabled === target.disabled;
    if (held(target) || same) {
      event.detail.shouldSwap = false;
    }
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const cause = event.detail.requestConfig?.triggeringEvent?.type;
    if (cause === "portal-pulse" && held(event.detail.target)) {
      event.detail.shouldSwap = false;
    }
  });

  /* Say so when the server stops answering, instead of showing old numbers. */
  const offline = (isOffline) => {
    const notice = document.getElementById("offline-notice");
    if (notice) notice.hidden = !isOffline;
  };
  document.addEventListener("htmx:sendError", () => offline(true));
  document.addEventListener("htmx:responseError", () => offline(true));
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) offline(false);
  });

  /* A check that could not be made says so where its result would be. */
  const checked = (event, failed) => {
    const notice = event.target.closest?.("[data-check]")
      ?.querySelector("[data-check-failed]");
    if (notice) notice.hidden = !failed;
  };
  document.addEventListener("htmx:sendError", (event) => checked(event, true));
  document.addEventListener("htmx:responseError", (event) => checked(event, true));
  document.addEventListener("htmx:beforeRequest", (event) => checked(event, false));

  /* On a narrow screen the tabs scroll: the open one must not be out of sight. */
  let shownTab = null;
  const showTab = () => {
    const tab = document.querySelector(".dw-tabs [aria-current]");
    if (!tab || tab === shownTab) return;
    shownTab = tab;
    const space = tab.parentElement.clientWidth - tab.offsetWidth;
    tab.parentElement.scrollLeft =
      tab.offsetLeft - tab.parentElement.offsetLeft - space / 2;
  };
  document.addEventListener("DOMContentLoaded", showTab);
  document.addEventListener("htmx:afterSettle", showTab);

  /* Lists with checkboxes: count, select all, and why an action is not possible. */
  const refreshSelection = (form) => {
    const boxes = [...form.querySelectorAll("input[type=checkbox][data-row]")];
    const chosen = boxes.filter((box) => box.checked);
    const all = form.querySelector("input[data-select-all]");
    if (all) {
      all.checked = boxes.length > 0 && chosen.length === boxes.length;
      all.indeterminate = chosen.length > 0 && chosen.length < boxes.length;
    }
    form.querySelectorAll("input[data-select-group]").forEach((box) => {
      const own = boxes.filter((one) => box.closest("tbody").contains(one));
      const ticked = own.filter((one) => one.checked).length;
      box.checked = own.length > 0 && ticked === own.length;
      box.indeterminate = ticked > 0 && ticked < own.length;
    });
    const count = form.querySelector("[data-selection-count]");
    if (count) {
      count.textContent = chosen.length
        ? `${chosen.length} of ${boxes.length} selected`
        : "None selected";
    }
    const reasons = [];
    form.querySelectorAll("button[data-action]").forEach((button) => {
      const blocked = chosen.filter((box) => {
        const cell = document.getElementById(box.dataset.row);
        const allowed = cell?.querySelector("[data-actions]")?.dataset.actions;
        return allowed !== undefined
          && !allowed.split(" ").includes(button.dataset.action);
      });
      button.disabled = chosen.length === 0 || blocked.length > 0;
      if (blocked.length) {
        const names = blocked.slice(0, 3).map((box) => {
          const word = document.getElementById(box.dataset.row)
            ?.querySelector("[data-word]")?.dataset.word;
          return `${box.dataset.name} is ${word}`;
        });
        const more = blocked.length > 3 ? ` and ${blocked.length - 3} more` : "";
        reasons.push(`${button.dataset.word}: ${names.join(", ")}${more}`);
      }
    });
    const why = form.querySelector("[data-why]");
    if (why) why.textContent = reasons.join(". ");
  };
  const selectionForms = () =>
    document.querySelectorAll("form[data-selection]").forEach(refreshSelection);

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-selection]");
    if (!form) {
      const filter = event.target.closest("form[data-submit-on-change]");
      if (filter && event.target.matches("select")) filter.requestSubmit();
      return;
    }
    if (event.target.matches("[data-select-all]")) {
      form.querySelectorAll("input[type=checkbox][data-row]").forEach((box) => {
        box.checked = event.target.checked;
      });
    }
    if (event.target.matches("[data-select-group]")) {
      event.target.closest("tbody").querySelectorAll("input[type=checkbox][data-row]")
        .forEach((box) => { box.checked = event.target.checked; });
    }
    refreshSelection(form);
  });
  /* Rows that can be moved, by their buttons or by dragging. */
  const moved = (row) => {
    const name = row.dataset.map;
    const place = [...row.parentElement.children].indexOf(row) + 1;
    const status = row.closest("table").parentElement.querySelector("[data-moved]");
    if (status) status.textContent = `${name} is number ${place} now`;
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[data-move]");
    if (!button) return;
    const row = button.closest("tr");
    const up = button.dataset.move === "-1";
    const other = up ? row.previousElementSibling : row.nextElementSibling;
    if (!other) return;
    if (up) other.before(row);
    else other.after(row);
    button.focus();
    moved(row);
  });
  let dragged = null;
  document.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.("[data-movable] tr[draggable]") ?? null;
  });
  document.addEventListener("dragover", (event) => {
    const over = event.target.closest?.("[data-movable] tr[draggable]");
    if (!dragged || !over || over.parentElement !== dragged.parentElement) return;
    event.preventDefault();
    if (over === dragged) return;
    const box = over.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) over.before(dragged);
    else over.after(dragged);
  });
  document.addEventListener("dragend", () => {
    if (dragged) moved(dragged);
    dragged = null;
  });

  /* Copy a script; where the browser does not allow it, choose its text. */
  const offerCopies = () =>
    document.querySelectorAll("button[data-copy]").forEach((button) => {
      button.hidden = false;
    });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button[data-copy]");
    if (!button) return;
    const text = document.getElementById(button.dataset.copy);
    const word = button.querySelector("[data-copy-word]");
    try {
      await navigator.clipboard.writeText(text.textContent);
      word.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      word.textContent = "Selected: press Ctrl+C";
    }
  });
  document.addEventListener("DOMContentLoaded", offerCopies);
  document.addEventListener("htmx:afterSettle", offerCopies);

  document.addEventListener("htmx:oobAfterSwap", selectionForms);
  document.addEventListener("DOMContentLoaded", selectionForms);
  window.addEventListener("pageshow", selectionForms);
})();
