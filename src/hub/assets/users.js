// Users: says how many are selected, selects a whole page, and sends the filter of groups by itself.
"use strict";

for (const form of document.querySelectorAll("[data-selection]")) {
  document.documentElement.classList.add("has-script");
  const count = form.querySelector("[data-count]");
  const toolbar = form.querySelector(".toolbar");
  const everybody = form.querySelector("[name=all]");
  const boxes = () => [...form.querySelectorAll("[name=user]")];
  const whole = () => form.querySelector("[data-all]");

  const say = () => {
    const all = boxes();
    const chosen = all.filter((box) => box.checked).length;
    const { none, one, many } = count.dataset;
    const isEverybody = everybody?.checked ?? false;
    let text = chosen === 0 ? none : chosen === 1 ? one : many.replace("#", chosen);
    if (isEverybody) text = everybody.closest("label").textContent.trim();
    if (count.textContent !== text) count.textContent = text;
    toolbar.classList.toggle("is-on", chosen > 0 || isEverybody);
    const head = whole();
    if (!head) return;
    head.hidden = false;
    head.checked = chosen > 0 && chosen === all.length;
    head.indeterminate = chosen > 0 && chosen < all.length;
  };

  // With the shift key: all between this one and the one before.
  let last = null;
  form.addEventListener("click", (event) => {
    const box = event.target.closest("[name=user]");
    if (!box) return;
    const all = boxes();
    if (event.shiftKey && last?.isConnected) {
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
      for (const between of all.slice(from, to + 1)) between.checked = box.checked;
      say();
    }
    last = box;
  });
  form.addEventListener("change", (event) => {
    if (event.target.matches("[data-all]")) for (const box of boxes()) box.checked = event.target.checked;
    say();
  });
  // The page may have been brought back as it was left, or a part of it made anew.
  window.addEventListener("pageshow", say);
  new MutationObserver(say).observe(form, { childList: true, subtree: true });
  say();
}

for (const choice of document.querySelectorAll("select[data-submit]")) {
  choice.addEventListener("change", () => choice.form.requestSubmit());
}

// A list of new users may come from a file: it is read into the field, where it can be looked at.
for (const place of document.querySelectorAll("[data-file]")) {
  place.hidden = false;
  place.querySelector("input").addEventListener("change", async (event) => {
    const [file] = event.target.files;
    const field = document.getElementById("people");
    if (!file) return;
    field.setCustomValidity(file.size > field.maxLength ? "This file is too long for one go." : "");
    if (!field.reportValidity() && file.size > field.maxLength) return;
    field.value = await file.text();
    field.focus();
  });
}

// The passwords as text and as a file, made of what stands on the page; nothing is fetched and nothing is kept.
for (const table of document.querySelectorAll("[data-passwords]")) {
  const rows = [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  // A name that begins as a formula must be none to the program that opens the file.
  const quoted = (text) => `"${(/^[=+\-@]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
  const said = document.querySelector("[data-said]");
  const copy = document.querySelector("[data-copy]");
  const download = document.querySelector("[data-download]");
  copy.hidden = navigator.clipboard === undefined;
  download.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(rows.slice(1).map((row) => row.join("\t")).join("\n"));
    said.textContent = copy.textContent = "Copied";
  });
  download.addEventListener("click", () => {
    const text = rows.map((row) => row.map(quoted).join(",")).join("\r\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "new-users.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    said.textContent = "Downloaded";
  });
}
