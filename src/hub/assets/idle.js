// What is left of a server's time changes by its use, of which nobody tells a page: it looks every half minute.
"use strict";

setInterval(() => document.dispatchEvent(new CustomEvent("live:look")), 30_000);
