// The pages of the API: a link to an operation opens it.
"use strict";

{
  const openTarget = () => {
    const target = document.getElementById(location.hash.slice(1));
    // Not focused: the browser goes on from the target by itself, so the next Tab is at its summary.
    if (target?.matches("details.operation")) target.open = true;
  };

  addEventListener("hashchange", openTarget);
  openTarget();
}
