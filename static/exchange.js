// Everything works without this file. It keeps the focus on what changed and says when the line is down.
(function () {
  "use strict";

  function focusOn(element) {
    var target = element.querySelector("#errors, [autofocus], [data-focus]") || element;
    if (!target.matches("a[href], button, input, select, textarea, [tabindex]")) {
      target = target.querySelector("input:not([type=hidden]), select, textarea, button, a[href]") || target;
    }
    if (!target.matches("a[href], button, input, select, textarea, [tabindex]")) {
      target.setAttribute("tabindex", "-1");
    }
    target.focus({ preventScroll: false });
    if (target.select && target.type !== "search") { target.select(); }
  }

  // Counting row by row: a saved book sends the focus to the next number, a refused one to what is wrong.
  function afterCount(book) {
    var active = document.activeElement;
    if (active !== document.body && !book.contains(active)) { return; }
    var wrong = book.querySelector("[aria-invalid]");
    var fields = Array.prototype.slice.call(document.querySelectorAll("[data-count]"));
    var own = book.querySelectorAll("[data-count]");
    var from = active.matches("[data-count]") ? active : own[own.length - 1];
    var next = book.matches("[data-saved]") ? fields[fields.indexOf(from) + 1] : wrong;
    if (!next) { next = document.querySelector("a[rel=next]") || from; }
    if (next) {
      next.focus();
      if (next.select) { next.select(); }
    }
  }

  // Tap, type, Enter: the number that was there is replaced, not added to. A second tap sets the caret.
  var entered = null;
  document.addEventListener("focusin", function (event) {
    if (event.target.matches("[data-count]")) {
      entered = event.target;
      entered.select();
    }
  });
  document.addEventListener("click", function (event) {
    if (event.target === entered) { entered.select(); }
    entered = null;
  });

  // After a swap that took the focused control away, the focus goes to what replaced it, not to the page.
  document.addEventListener("htmx:afterSettle", function (event) {
    if (event.detail.elt && (event.detail.elt.id === "notices" || event.detail.elt.id === "waiting-count")) { return; }
    if (event.detail.elt && event.detail.elt.matches("[data-counted]")) { afterCount(event.detail.elt); }
    if (document.activeElement === document.body && event.detail.elt && event.detail.elt.isConnected) {
      focusOn(event.detail.elt);
    }
  });

  // Classes: the sums follow what is typed. Without a number in it a sum stays empty.
  document.addEventListener("input", function (event) {
    var table = event.target.closest("table[data-sums]");
    if (!table) { return; }
    var byGrade = {};
    table.querySelectorAll("tr[data-grade]").forEach(function (row) {
      row.querySelectorAll("input.copies").forEach(function (field) {
        var text = field.value.replace(/\s/g, "");
        if (/^[0-9]+$/.test(text)) { byGrade[row.dataset.grade] = (byGrade[row.dataset.grade] || 0) + Number(text); }
      });
      var sum = byGrade[row.dataset.grade];
      row.querySelector("[data-total]").textContent = sum === undefined ? "" : String(sum);
    });
    table.querySelectorAll("tr[data-first]").forEach(function (row) {
      var sum = 0;
      for (var grade = Number(row.dataset.first); grade <= Number(row.dataset.last); grade++) { sum += byGrade[grade] || 0; }
      row.querySelector("[data-total]").textContent = String(sum);
    });
  });

  var offline = function () { document.getElementById("offline").hidden = false; };
  var online = function () { document.getElementById("offline").hidden = true; };
  document.addEventListener("htmx:sendError", offline);
  document.addEventListener("htmx:timeout", offline);
  document.addEventListener("htmx:responseError", offline);
  document.addEventListener("htmx:afterOnLoad", online);

  // The same form is not sent twice by an impatient hand; the server refuses repeats anyway.
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (form.method === "post" && !form.hasAttribute("hx-post")) {
      window.setTimeout(function () {
        form.querySelectorAll("button").forEach(function (button) { button.disabled = true; });
      }, 0);
    }
  });
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) {
      document.querySelectorAll("button:disabled").forEach(function (button) { button.disabled = false; });
    }
  });

  document.addEventListener("click", function (event) {
    if (event.target.closest("[data-print]")) { window.print(); }
  });
})();
