// The audit log: a day is the reader's day, and a check under way is followed.

const pad = (number) => String(Math.trunc(number)).padStart(2, "0");

// "2026-11-22" at that time of day, with the reader's offset on that day.
function inZone(day, time) {
  const moment = new Date(`${day}T${time}`);
  if (Number.isNaN(moment.getTime())) return day;
  const minutes = -moment.getTimezoneOffset();
  const sign = minutes < 0 ? "-" : "+";
  return `${day}T${time}${sign}${pad(Math.abs(minutes) / 60)}:${pad(Math.abs(minutes) % 60)}`;
}

document.querySelector("form[data-days]")?.addEventListener("formdata", ({ formData }) => {
  const times = { since: "00:00:00.000", until: "23:59:59.999" };
  for (const [name, time] of Object.entries(times)) {
    const day = formData.get(name);
    if (day) formData.set(name, inZone(day, time));
  }
  // An address says what was asked for and no more.
  for (const name of new Set(formData.keys())) if (!formData.get(name)) formData.delete(name);
});

if (document.querySelector("[data-checking]")) setTimeout(() => location.reload(), 1500);
