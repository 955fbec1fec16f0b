// Keeps a page as it would look if it were loaded now. A part of it, [data-live-part="x"], follows the same part of the
// page fetched again whenever the hub says that something has changed: only what differs is touched, so the keyboard
// stays where it is and what is open stays open. `data-live="users"` anywhere: the page tells of everybody's servers.
"use strict";

{
  const { liveUrl, formToken } = document.body.dataset;
  const parts = () => [...document.querySelectorAll("[data-live-part]")];
  const news = document.getElementById("live-news");

  // --- making a part the same as its newer self ---

  const isInteractive = (element) => element.matches("a, button, input, select, textarea, form, summary, dialog");
  /** Two elements with the same key are the same thing to a person: what says something else is another. */
  const keyOf = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return node.nodeName;
    if (node.id) return `#${node.id}`;
    if (!isInteractive(node)) return `${node.nodeName}.${node.classList[0] ?? ""}`;
    const aim = node.getAttribute("href") ?? node.getAttribute("action") ?? node.getAttribute("name") ?? "";
    return `${node.nodeName} ${aim} ${node.matches("form") ? "" : node.textContent.trim()}`;
  };
  const isBlank = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim() === "";

  const follow = (present, wanted) => {
    if (present.nodeType !== Node.ELEMENT_NODE) {
      if (present.data !== wanted.data) present.data = wanted.data;
      return;
    }
    // What a script has filled stays; a moment that is the same stays in the reader's words.
    if (present.hasAttribute("data-live-keep")) return;
    if (present.matches("time") && present.dateTime === wanted.dateTime) return;
    for (const { name, value } of [...wanted.attributes]) {
      if (present.getAttribute(name) !== value) present.setAttribute(name, value);
    }
    for (const { name } of [...present.attributes]) {
      const isReaders = name === "open" && present.matches("details, dialog");
      if (!isReaders && !wanted.hasAttribute(name)) present.removeAttribute(name);
    }
    if (present.matches("progress")) present.value = wanted.value;
    followChildren(present, wanted);
  };

  const followChildren = (present, wanted) => {
    let at = present.firstChild;
    for (const child of [...wanted.childNodes]) {
      while (at && isBlank(at) && !isBlank(child)) at = at.nextSibling;
      if (isBlank(child) && !(at && isBlank(at))) continue;
      let same = at;
      while (same && keyOf(same) !== keyOf(child)) same = same.nextSibling;
      if (!same) {
        present.insertBefore(document.importNode(child, true), at);
        continue;
      }
      // What lies between is no more.
      while (at !== same) {
        const next = at.nextSibling;
        at.remove();
        at = next;
      }
      at = same.nextSibling;
      follow(same, child);
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  // --- when ---

  const isChanged = (field) => {
    if (field.matches("select")) {
      const options = [...field.options];
      const given = Math.max(options.findIndex((option) => option.defaultSelected), 0);
      return options.length > 0 && !field.multiple && field.selectedIndex !== given;
    }
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    return field.type !== "hidden" && field.value !== field.defaultValue;
  };

  /** Somebody reads a question, has just sent a form, or types: the part waits until they are done. */
  const isBusy = (part) =>
    part.querySelector("dialog[open], form[data-sent]") !== null ||
    [...part.querySelectorAll("input, textarea, select")].some(isChanged);

  let isWaiting = false;

  const show = (fresh) => {
    isWaiting = false;
    const said = [];
    for (const part of parts()) {
      const wanted = fresh.querySelector(`[data-live-part="${CSS.escape(part.dataset.livePart)}"]`);
      if (!wanted) continue;
      if (isBusy(part)) {
        isWaiting = true;
        continue;
      }
      if (wanted.dataset.liveSay && wanted.dataset.liveSay !== part.dataset.liveSay) said.push(wanted.dataset.liveSay);
      const focused = part.contains(document.activeElement) ? document.activeElement : null;
      follow(part, wanted);
      localise(part);
      // What had the keyboard is gone: it goes on at what is there to do now.
      if (focused && !focused.isConnected) (part.querySelector(".actions :is(a, button):not([disabled])") ?? part.querySelector("a, button"))?.focus();
    }
    if (said.length) news.textContent = said.join(" ");
    document.dispatchEvent(new CustomEvent("live:shown"));
  };

  let isLooking = false;
  let isStale = false;

  const look = async () => {
    if (document.hidden || isLooking) {
      isStale = true;
      return;
    }
    isLooking = true;
    isStale = false;
    try {
      const answer = await fetch(location.href, {
        headers: { "X-XSRFToken": formToken, Accept: "text/html" }, redirect: "manual", cache: "no-store",
      });
      // Signed out meanwhile, or led elsewhere: the page itself knows where to go.
      if (answer.type === "opaqueredirect" || answer.status === 403) {
        location.reload();
        return;
      }
      if (answer.headers.get("Content-Type")?.startsWith("text/html")) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        document.body.dataset.changeCount = fresh.body.dataset.changeCount ?? "";
        show(fresh);
      }
    } catch {
      // Not reachable just now; the stream notices, and tells when it is back.
    } finally {
      isLooking = false;
      if (isStale) look();
    }
  };

  // Done with what it waited for?
  const lookIfWaiting = () => { if (isWaiting) look(); };
  document.addEventListener("close", () => setTimeout(lookIfWaiting), true);
  document.addEventListener("reset", () => setTimeout(lookIfWaiting), true);
  document.addEventListener("focusout", () => setTimeout(lookIfWaiting, 500), true);

  // --- the stream ---

  let events = null;
  let pause_ms = 1000;
  let again = 0;

  const close = () => {
    clearTimeout(again);
    events?.close();
    events = null;
  };

  const open = () => {
    close();
    if (document.hidden) return;
    const of = document.querySelector("[data-live]")?.dataset.live ?? "me";
    const query = new URLSearchParams({ of, since: document.body.dataset.changeCount, _xsrf: formToken });
    events = new EventSource(`${liveUrl}?${query}`);
    events.addEventListener("open", () => { pause_ms = 1000; });
    events.addEventListener("changed", () => look());
    events.addEventListener("progress", (line) => {
      const { server, progress, message } = JSON.parse(line.data);
      for (const bar of document.querySelectorAll("progress[data-progress-of]")) {
        if (bar.dataset.progressOf === server) bar.value = progress;
      }
      for (const text of document.querySelectorAll("[data-message-of]")) {
        if (text.dataset.messageOf === server && message) text.textContent = message;
      }
      document.dispatchEvent(new CustomEvent("live:progress", { detail: { server, progress } }));
    });
    events.addEventListener("error", () => {
      // Ours to open again, with what this page knows by then; ever more slowly, and not all pages at once.
      close();
      again = setTimeout(open, pause_ms * (0.75 + Math.random() / 2));
      pause_ms = Math.min(pause_ms * 2, 60_000);
    });
  };

  // A page with a clock of its own asks for a look.
  document.addEventListener("live:look", () => look());

  if (liveUrl && parts().length) {
    open();
    document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
    window.addEventListener("pagehide", close);
    window.addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  }
}
