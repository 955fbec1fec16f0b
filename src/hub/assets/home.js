// Home: notices when the server changes, whoever changed it, and shows the page anew.
"use strict";

{
  const card = document.querySelector("[data-server]");
  const { server: address, state: shown, token } = card.dataset;
  const isPending = shown === "starting" || shown === "stopping";

  const stateOf = (server) => {
    if (server.ready) return "ready";
    if (server.pending) return server.pending === "stop" ? "stopping" : "starting";
    return server.failure ? "failed" : "stopped";
  };

  const look = async () => {
    if (document.hidden || document.querySelector("dialog[open]")) return;
    try {
      const answer = await fetch(address, { headers: { "X-XSRFToken": token, Accept: "application/json" } });
      // Signed out meanwhile: the page itself knows where to go.
      if (answer.status === 403) location.reload();
      if (answer.ok && stateOf(await answer.json()) !== shown) location.reload();
    } catch {
      // Not reachable just now; the next look may be.
    }
  };

  setInterval(look, isPending ? 1500 : 5000);
  document.addEventListener("visibilitychange", look);

  const bar = card.querySelector("progress");
  if (shown === "starting" && bar) {
    const events = new EventSource(`${address}/progress?_xsrf=${token}`);
    events.addEventListener("message", (line) => {
      const event = JSON.parse(line.data);
      bar.value = event.progress;
      if (event.ready || event.failed) {
        events.close();
        location.reload();
      } else if (event.message) {
        card.querySelector(".server-since").textContent = event.message;
      }
    });
    window.addEventListener("pagehide", () => events.close());
  }
}
