"use strict";
(function () {
  var byId = function (id) { return document.getElementById(id); };
  var box = byId("frames"), about = byId("about"), found = byId("found");
  var reset = byId("reset"), search = byId("search");
  var total = Number(box.dataset.total), left = Number(box.dataset.left);
  var width = Number(box.dataset.width), letter = Number(box.dataset.letter);

  var frames = Array.from(box.children).map(function (g) {
    var title = g.querySelector("title").textContent;
    return {
      g: g,
      rect: g.querySelector("rect"),
      text: g.querySelector("text"),
      title: title,
      merged: g.classList.contains("merged"),
      name: title.slice(0, title.lastIndexOf(" (")),
      start: Number(g.dataset.start),
      bytes: Number(g.dataset.bytes),
      depth: Number(g.dataset.depth)
    };
  });

  function label(frame, x, w) {
    var room = Math.floor((w - 6) / letter), letters = Array.from(frame.name);
    if (room < 3) {
      if (frame.text) frame.text.textContent = "";
      return;
    }
    if (!frame.text) {
      frame.text = document.createElementNS("http://www.w3.org/2000/svg", "text");
      frame.text.setAttribute("y", Number(frame.rect.getAttribute("y")) + 12);
      frame.g.appendChild(frame.text);
    }
    var fits = letters.length <= room;
    frame.text.textContent = fits ? frame.name : letters.slice(0, room - 2).join("") + "..";
    frame.text.setAttribute("x", x + 3);
  }

  // Gives a frame and its callers the whole width; its callees grow with it.
  function zoom(to) {
    var end = to.start + to.bytes;
    frames.forEach(function (frame) {
      var last = frame.start + frame.bytes;
      var caller = frame.depth < to.depth && frame.start <= to.start && end <= last;
      var inside = frame.depth >= to.depth && to.start <= frame.start && last <= end;
      frame.g.classList.toggle("off", !caller && !inside);
      frame.g.classList.toggle("caller", caller);
      if (!caller && !inside) return;
      var x = caller ? left : left + (frame.start - to.start) / to.bytes * width;
      var w = caller ? width : frame.bytes / to.bytes * width;
      frame.rect.setAttribute("x", x);
      frame.rect.setAttribute("width", w);
      label(frame, x, w);
    });
    reset.classList.toggle("off", to.depth === 0);
  }

  // A pattern, or if it is none, what a name must contain.
  function matcher(words) {
    try {
      var pattern = new RegExp(words);
      return function (name) { return pattern.test(name); };
    } catch (e) {
      return function (name) { return name.includes(words); };
    }
  }

  // Bytes count once, however many frames of a stack are found: each frame comes before its
  // callees, so `until` is where the last one that was found ends.
  function find(words) {
    var matches = words && matcher(words), bytes = 0, until = 0;
    frames.forEach(function (frame) {
      var hit = Boolean(matches) && !frame.merged && matches(frame.name);
      frame.g.classList.toggle("found", hit);
      if (hit && frame.start >= until) {
        bytes += frame.bytes;
        until = frame.start + frame.bytes;
      }
    });
    found.textContent = words ? "Matched: " + (bytes * 100 / total).toFixed(2) + "%" : "";
    search.textContent = words ? "Reset search" : "Search";
  }

  function ask() {
    if (found.textContent) return find("");
    var words = prompt("Search for a name (a regular expression)");
    if (words) find(words);
  }

  function frameOf(event) {
    var g = event.target.closest("#frames > g");
    return g && frames.find(function (frame) { return frame.g === g; });
  }

  box.addEventListener("click", function (event) {
    var frame = frameOf(event);
    if (frame) zoom(frame);
  });
  box.addEventListener("mouseover", function (event) {
    var frame = frameOf(event);
    if (frame) about.textContent = frame.title;
  });
  box.addEventListener("mouseout", function () { about.textContent = ""; });
  reset.addEventListener("click", function () { zoom(frames[0]); });
  search.addEventListener("click", ask);
  window.addEventListener("keydown", function (event) {
    if (event.key === "Escape") zoom(frames[0]);
    if (event.key === "F3" || (event.ctrlKey || event.metaKey) && event.key === "f") {
      event.preventDefault();
      ask();
    }
  });
  search.classList.remove("off");
})();
