// Everything works without this file. It keeps the focus on what changed and says when the line is down.
(function () {
  "use strict";

  var CONTROLS = "button, select, textarea, input:not([type=hidden])";

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

  // The row a question was answered in, and those below it: where the eyes and the thumb are.
  var answered = null;
  document.addEventListener("htmx:beforeRequest", function (event) {
    var row = event.detail.elt.contains(document.activeElement) && document.activeElement.closest("tr[id]");
    answered = null;
    if (!row) { return; }
    var rows = Array.prototype.slice.call(document.querySelectorAll("main tr[id]"));
    var controls = Array.prototype.slice.call(row.querySelectorAll(CONTROLS));
    answered = {
      ids: rows.slice(rows.indexOf(row)).map(function (each) { return each.id; }),
      place: controls.indexOf(document.activeElement)
    };
  });

  // Answered row by row: the same row where it is still asked about, else the first that is left below it.
  function rowAfter(answered, element) {
    var rows = answered.ids.map(function (id) { return document.getElementById(id); });
    return rows.filter(function (row) { return row && element.contains(row) && row.querySelector(CONTROLS); })[0];
  }
  function focusBelow(answered, row) {
    var controls = row.querySelectorAll(CONTROLS);
    (controls[answered.place] || controls[0]).focus();
  }

  // After a swap that took the focused control away, the focus goes to what replaced it, not to the page.
  document.addEventListener("htmx:afterSettle", function (event) {
    if (event.detail.elt && (event.detail.elt.id === "notices" || event.detail.elt.id === "waiting-count")) { return; }
    if (event.detail.elt && event.detail.elt.matches("[data-counted]")) { afterCount(event.detail.elt); }
    if (document.activeElement === document.body && event.detail.elt && event.detail.elt.isConnected) {
      var row = answered && !event.detail.elt.querySelector("#errors") && rowAfter(answered, event.detail.elt);
      if (row) { focusBelow(answered, row); } else { focusOn(event.detail.elt); }
    }
  });

  // Counting with the thumb: a tap changes the number at once. What is sent is the number itself, one request
  // at a time and again until it is answered; the server compares it with what this page last saw.
  var PAUSE = 600;
  var AGAIN = 4000;
  var counts = {};
  document.documentElement.classList.add("scripted");

  function countOf(form) {
    counts[form.id] = counts[form.id] || { sent: null, timer: 0, pressed: false };
    return counts[form.id];
  }
  function sendLater(form, wait) {
    var count = countOf(form);
    var id = form.id;
    form.classList.add("sending");
    window.clearTimeout(count.timer);
    count.timer = window.setTimeout(function () {
      var there = document.getElementById(id);
      if (there) { there.requestSubmit(); }
    }, wait);
  }
  function step(button) {
    var form = button.form;
    var field = form.elements.counted;
    var number = parseInt(field.value, 10) || 0;
    field.value = button.value.charAt(0) === "=" ? button.value.slice(1) : Math.max(0, number + Number(button.value));
    if (countOf(form).sent === null) { sendLater(form, PAUSE); }
  }
  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-tap] [data-step]");
    if (button && window.htmx) {
      event.preventDefault();
      step(button);
    }
  });
  document.addEventListener("change", function (event) {
    var form = event.target.form;
    if (form && form.matches("[data-tap]") && countOf(form).sent === null) { sendLater(form, PAUSE); }
  });
  ["pointerdown", "pointerup", "pointercancel"].forEach(function (name) {
    document.addEventListener(name, function (event) {
      var form = event.target.closest ? event.target.closest("[data-tap]") : null;
      if (form) { countOf(form).pressed = name === "pointerdown"; }
    });
  });
  document.addEventListener("htmx:configRequest", function (event) {
    var form = event.detail.elt;
    if (!form.matches("form[data-tap]")) { return; }
    var count = countOf(form);
    window.clearTimeout(count.timer);
    // Until it is answered the same number goes again, whatever has been tapped since.
    if (count.sent === null) { count.sent = form.elements.counted.value; }
    event.detail.parameters.counted = count.sent;
    // The button is in the number already; htmx sends the one that was pressed last all the same.
    delete event.detail.parameters.step;
  });
  document.addEventListener("htmx:beforeSwap", function (event) {
    var form = event.detail.target;
    if (!form || !form.matches("form[data-tap]") || event.detail.requestConfig.elt !== form) { return; }
    var count = countOf(form);
    var more = form.elements.counted.value !== count.sent;
    count.sent = null;
    if (event.detail.xhr.status !== 200 || !(more || count.pressed)) { return; }
    // The thumb is still at work: the card stays under it, and only learns what the server knows now.
    var fresh = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html").getElementById(form.id);
    if (!fresh) { return; }
    event.detail.shouldSwap = false;
    Array.prototype.forEach.call(fresh.querySelectorAll("input[type=hidden]"), function (input) {
      if (form.elements[input.name]) { form.elements[input.name].value = input.value; }
    });
    sendLater(form, PAUSE);
  });
  document.addEventListener("htmx:oobBeforeSwap", function (event) {
    var form = event.detail.target;
    var count = form && counts[form.id];
    if (count && form.matches(".sending")) { event.detail.shouldSwap = false; }
  });
  document.addEventListener("htmx:afterRequest", function (event) {
    var form = event.detail.elt;
    if (!form.matches("form[data-tap]")) { return; }
    var status = event.detail.xhr ? event.detail.xhr.status : 0;
    if (status === 0 || status >= 500) { sendLater(form, AGAIN); } else { countOf(form).sent = null; }
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
