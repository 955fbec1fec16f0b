// The page of a failed start: the last log lines may arrive a few seconds after the failure itself.
"use strict";

{
  const { failed: address, token, hasLog } = document.querySelector("[data-failed]").dataset;
  let looksLeft = hasLog === "0" ? 8 : 0;

  const look = async () => {
    looksLeft -= 1;
    try {
      const answer = await fetch(address, { headers: { "X-XSRFToken": token, Accept: "application/json" } });
      const server = answer.ok ? await answer.json() : {};
      if (server.failure && server.failure.log_tail.length > 0) {
        location.reload();
        return;
      }
    } catch {
      // Not reachable just now; the next look may be.
    }
    if (looksLeft > 0) setTimeout(look, 2000);
  };

  if (looksLeft > 0) setTimeout(look, 2000);
}
