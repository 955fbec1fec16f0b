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
