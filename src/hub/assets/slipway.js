// What every page does beyond its HTML: times in the reader's zone, no double clicks, menus and dialogs that close.
"use strict";

const asMoment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const asDay = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const asClock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const asAge = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

const sayAge = (moment) => {
  const minutes = Math.round((moment - Date.now()) / 60000);
  if (minutes > -1) return asAge.format(0, "minute");
  if (minutes > -60) return asAge.format(minutes, "minute");
  if (minutes > -60 * 24) return asAge.format(Math.round(minutes / 60), "hour");
  if (minutes > -60 * 24 * 14) return asAge.format(Math.round(minutes / 60 / 24), "day");
  return asDay.format(moment);
};

/** How long it is until then, never more than it is. */
const sayWait = (moment) => {
  const minutes = Math.max(Math.floor((moment - Date.now()) / 60000), 0);
  if (minutes < 120) return asAge.format(minutes, "minute");
  if (minutes < 60 * 48) return asAge.format(Math.floor(minutes / 60), "hour");
  return asAge.format(Math.floor(minutes / 60 / 24), "day");
};

/** The time of day alone, while it is of today. */
const sayClock = (moment) => (moment.toDateString() === new Date().toDateString() ? asClock : asMoment).format(moment);

const sayMoment = (time) => {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime())) return;
  if (time.dataset.said !== time.dateTime) {
    time.dataset.said = time.dateTime;
    time.title = time.dataset.local ? asMoment.format(moment) : time.textContent;
  }
  if (time.dataset.local === "ago") time.textContent = sayAge(moment);
  else if (time.dataset.local === "until") time.textContent = sayWait(moment);
  else if (time.dataset.local === "clock") time.textContent = sayClock(moment);
  else time.textContent = (time.dataset.local === "day" ? asDay : asMoment).format(moment);
};

const localise = (part) => {
  for (const time of part.querySelectorAll("time[data-local]")) sayMoment(time);
};

localise(document);
setInterval(() => document.querySelectorAll('time:is([data-local="ago"], [data-local="until"])').forEach(sayMoment), 60_000);

// A form is sent once: the second click of a double click would start or sign in twice.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  for (const button of form.querySelectorAll("button[type=submit]")) button.setAttribute("aria-disabled", "true");
});

// The browser's back button may bring a page back as it was left.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
  }
});

// The part after # never reaches a server; handing it on in the form's address brings the person back to it.
for (const form of document.querySelectorAll("form[data-keep-fragment]")) {
  if (location.hash) form.action += location.hash;
}

// Browsers that do not know command= yet.
if (!("commandForElement" in HTMLButtonElement.prototype)) {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[data-open]");
    if (button) document.getElementById(button.dataset.open)?.showModal();
  });
}

for (const menu of document.querySelectorAll("details.menu")) {
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

for (const page of document.querySelectorAll("[data-reload-after-s]")) {
  setTimeout(() => location.reload(), Number(page.dataset.reloadAfterS) * 1000);
}
