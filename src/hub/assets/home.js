// Home: notices when the server changes, whoever changed it, and shows the page anew.
"use strict";

{
  const card = document.querySelector("[data-server]");
  const { server: address, state: shown, token, user } = card.dataset;
  const states = new Map(Object.entries(JSON.parse(card.dataset.states))
    .map(([name, state]) => [name, state === "failed" ? "stopped" : state]));
  const isPending = [...states.values()].some((state) => state === "starting" || state === "stopping");
  const headers = { "X-XSRFToken": token, Accept: "application/json" };

  const stateOf = (server) => {
    if (server.ready) return "ready";
    if (server.pending) return server.pending === "stop" ? "stopping" : "starting";
    // The list does not tell a failed one from a stopped one.
    return "stopped";
  };

  // Somebody reads a question, has a menu open or types: the page waits until they are done.
  const isBusy = () =>
    document.querySelector("dialog[open], details.menu[open]") !== null ||
    [...document.querySelectorAll("input:not([type=hidden])")].some((input) => input.value !== input.defaultValue);

  let isStale = false;
  const showAnew = () => {
    isStale = true;
    if (isBusy() || document.hidden) return;
    // The keyboard finds its place again, on the same button or link of the page that comes.
    const focused = document.activeElement?.closest("a, button, input");
    if (focused) sessionStorage.setItem("home-focus", focused.textContent.trim() || focused.id);
    location.reload();
  };

  const look = async () => {
    if (document.hidden) return;
    if (isStale) {
      showAnew();
      return;
    }
    try {
      const answer = await fetch(user, { headers });
      // Signed out meanwhile: the page itself knows where to go.
      if (answer.status === 403) showAnew();
      if (!answer.ok) return;
      const { servers } = await answer.json();
      // One that does not run need not be listed.
      const isSame = Object.values(servers).every((server) => states.get(server.name) === stateOf(server)) &&
        [...states].every(([name, state]) => name in servers || state === "stopped");
      if (!isSame) showAnew();
    } catch {
      // Not reachable just now; the next look may be.
    }
  };

  const place = sessionStorage.getItem("home-focus");
  sessionStorage.removeItem("home-focus");
  if (place && document.activeElement === document.body) {
    const all = [...document.querySelectorAll("main a, main button, main input")];
    const same = all.find((element) => (element.textContent.trim() || element.id) === place);
    (same ?? document.querySelector("main .actions .button"))?.focus();
  }

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
        showAnew();
      } else if (event.message) {
        card.querySelector(".server-since").textContent = event.message;
      }
    });
    window.addEventListener("pagehide", () => events.close());
  }
}
