// Home: the ship goes down with the start, and the log is fetched when somebody wants to see it.
"use strict";

{
  const { formToken } = document.body.dataset;

  document.addEventListener("live:progress", ({ detail: { server, progress } }) => {
    if (server !== "") return;
    const ship = document.querySelector(".hero[data-state=starting] .berth-ship");
    ship?.setAttribute("transform", `translate(${progress * 2.5} ${progress * 0.574})`);
  });

  const read = async (details) => {
    const text = details.querySelector("code");
    const hint = details.querySelector(".hint");
    const frame = details.querySelector("pre");
    hint.textContent = text.textContent ? "" : "Reading…";
    frame.hidden = !text.textContent;
    try {
      const answer = await fetch(details.dataset.logUrl, { headers: { "X-XSRFToken": formToken, Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.statusText);
      const { lines } = await answer.json();
      text.textContent = lines.join("\n");
      frame.hidden = lines.length === 0;
      hint.textContent = lines.length === 0 ? "It has said nothing yet." : "";
    } catch {
      hint.textContent = "The log cannot be read just now.";
    }
  };

  const logs = () => document.querySelectorAll("details[data-log-url]");
  const showLogs = () => logs().forEach((details) => { details.hidden = false; });

  // `toggle` does not bubble.
  document.addEventListener("toggle", ({ target }) => {
    if (target.matches("details[data-log-url]") && target.open) read(target);
  }, true);
  document.addEventListener("live:shown", () => {
    showLogs();
    for (const details of logs()) if (details.open) read(details);
  });
  showLogs();
}
