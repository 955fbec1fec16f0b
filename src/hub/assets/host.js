// What this page shows of the host and of what people use is looked at in the background: it looks twice a minute.
"use strict";

setInterval(() => document.dispatchEvent(new CustomEvent("live:look")), 30_000);
