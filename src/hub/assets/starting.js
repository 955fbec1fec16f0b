// The start page: follows a start by server-sent events and goes on to the very address that was asked for.
"use strict";

{
  const page = document.querySelector("[data-progress-url]");
  const bar = page.querySelector("progress");
  const message = page.querySelector(".launch-message");
  const ship = page.querySelector(".launch-ship");
  const phases = [...page.querySelectorAll("[data-phase]")];
  // Where this page looks again; it names the start that it has watched, so that a failed one is shown and not repeated.
  const here = new URL(page.dataset.reloadUrl, location.href);

  const sail = (percent) => ship.setAttribute("transform", `translate(${percent * 2.9} ${percent * 0.6666})`);

  const show = (event) => {
    bar.value = event.progress;
    sail(event.progress);
    if (event.message && message.textContent !== event.message) message.textContent = event.message;
    const now = phases.findIndex((phase) => phase.dataset.phase === event.phase);
    if (now < 0) return;
    phases.forEach((phase, index) => {
      phase.className = `phase phase-${index < now ? "done" : index === now ? "now" : "next"}`;
      if (index === now) phase.setAttribute("aria-current", "step");
      else phase.removeAttribute("aria-current");
    });
  };

  const lookAgain = () => {
    here.hash = location.hash;
    // Going to the address one is at, with a fragment, would be no reload at all.
    if (here.href === location.href) location.reload();
    else location.replace(here);
  };

  const events = new EventSource(page.dataset.progressUrl);

  events.addEventListener("message", (line) => {
    const event = JSON.parse(line.data);
    if (event.start) here.searchParams.set("start", event.start);
    if (event.ready) {
      events.close();
      bar.value = 100;
      sail(100);
      location.replace(page.dataset.next + location.hash);
    } else if (event.failed) {
      events.close();
      lookAgain();
    } else {
      show(event);
    }
  });

  events.addEventListener("error", () => {
    // A broken line is tried again by the browser; a refusal is not: the page finds out what is the case.
    if (events.readyState === EventSource.CLOSED) setTimeout(lookAgain, 2000);
  });

  window.addEventListener("pagehide", () => events.close());
}
