// Notices: counts as the server counts, shows how it will look, finds names while one types, follows a delivery.
"use strict";

{
  // As `NoticeText::parse` does: line ends are one character, blanks at both ends are none, and a character is a code
  // point. JavaScript and Rust differ in one blank, which is named here: U+0085.
  const trimmed = (text) => text.replace(/\r\n?/g, "\n").replace(/^[\s\u0085]+|[\s\u0085]+$/g, "");
  const count = (text) => Array.from(trimmed(text)).length;

  const form = document.querySelector("[data-compose]");
  if (form) {
    const limit = Number(form.dataset.limit);
    const find = (name) => form.querySelector(`[data-${name}]`);
    const message = form.elements.message;
    const counter = find("count");
    const said = find("count-said");
    const toast = find("toast");

    const showCount = () => {
      const used = count(message.value);
      const left = limit - used;
      counter.textContent = left < 0 ? `${used} of ${limit} characters: ${-left} too many` : `${used} of ${limit} characters`;
      counter.classList.toggle("is-over", left < 0);
      if (left >= 0) message.removeAttribute("aria-invalid");
      else message.setAttribute("aria-invalid", "true");
      // Not every key stroke: who listens hears it when it begins to matter.
      const word = left < 0 ? `${-left} characters too many` : left <= 20 ? `${left} characters left` : "";
      if (left < 0 || left % 10 === 0) said.textContent = word;
    };
    const showToast = () => {
      toast.className = `toast toast-${form.elements.kind.value}`;
      find("toast-text").textContent = trimmed(message.value) || "Your message";
    };
    message.addEventListener("input", () => { showCount(); showToast(); });
    form.elements.kind.addEventListener("change", showToast);
    find("preview").hidden = false;
    showCount();
    showToast();

    const pick = find("pick");
    const list = find("people");
    const picked = find("picked");
    const search = form.elements.find;
    if (list) {
      find("find").hidden = true;
      const rows = () => [...list.children];
      const boxOf = (row) => row.querySelector("input");
      const showPicked = () => {
        const chosen = rows().filter((row) => boxOf(row).checked).length;
        const shown = rows().filter((row) => !row.hidden).length;
        const names = shown === 0 ? "No such name. " : "";
        picked.textContent = names + (chosen === 0 ? "Nobody is chosen." : chosen === 1 ? "1 person is chosen." : `${chosen} people are chosen.`);
      };
      const filter = () => {
        const wanted = search.value.trim().toLowerCase();
        for (const row of rows()) row.hidden = !boxOf(row).value.includes(wanted) && !boxOf(row).checked;
        showPicked();
      };
      search.addEventListener("input", filter);
      list.addEventListener("change", showPicked);
      search.addEventListener("keydown", (event) => {
        // Enter in a search field would send the notice.
        if (event.key === "Enter") event.preventDefault();
      });
      filter();

      // More people than the page lists: all names are fetched once they are wanted.
      const addAll = async () => {
        const address = pick.dataset.all;
        if (!address) return;
        delete pick.dataset.all;
        const headers = { "X-XSRFToken": form.elements._xsrf.value, Accept: "application/json" };
        const answer = await fetch(address, { headers });
        if (!answer.ok) return;
        const known = new Set(rows().map((row) => boxOf(row).value));
        const { servers } = await answer.json();
        const all = document.createDocumentFragment();
        for (const { username } of servers) {
          if (known.has(username)) continue;
          const row = list.ownerDocument.createElement("li");
          const label = document.createElement("label");
          const box = Object.assign(document.createElement("input"), { type: "checkbox", name: "to", value: username });
          const name = Object.assign(document.createElement("span"), { textContent: username });
          label.append(box, name);
          row.append(label);
          all.append(row);
        }
        list.append(all);
        filter();
      };
      for (const choice of form.elements.audience) choice.addEventListener("change", () => addAll().catch(() => {}));
      if (form.elements.audience.value === "some") addAll().catch(() => {});
    }

    form.addEventListener("submit", (event) => {
      const used = count(message.value);
      if (used === 0 || used > limit) {
        event.preventDefault();
        // The page's own script takes a form for sent once it was submitted.
        event.stopImmediatePropagation();
        message.setAttribute("aria-invalid", "true");
        counter.textContent = used === 0 ? "Write what you want to say." : counter.textContent;
        counter.classList.add("is-over");
        message.focus();
        return;
      }
      find("sending").textContent = "Sending…";
    });
    window.addEventListener("pageshow", () => { find("sending").textContent = ""; });
  }

  const underWay = document.querySelector("[data-under-way]");
  if (underWay) {
    const headers = { "X-XSRFToken": underWay.dataset.token, Accept: "application/json" };
    const bar = underWay.querySelector("progress");
    underWay.querySelector("a").parentElement.hidden = true;
    const look = async () => {
      try {
        const answer = await fetch(underWay.dataset.underWay, { headers });
        if (answer.status === 403 || answer.status === 404) { location.reload(); return; }
        if (answer.ok) {
          const sent = await answer.json();
          if (sent.state !== "under-way") { location.reload(); return; }
          const done = sent.delivered + sent.failed;
          bar.value = done;
          underWay.querySelector("[data-said]").textContent = `${done} of ${sent.total} servers had their turn.`;
          document.querySelector("[data-delivered]").textContent = sent.delivered;
        }
      } catch {
        // Not reachable just now; the next look may be.
      }
      setTimeout(look, 700);
    };
    setTimeout(look, 300);
  }
}
