// For pages that show what is looked at in the background or runs out by itself, of which nobody tells them.
"use strict";

setInterval(() => document.dispatchEvent(new CustomEvent("live:look")), 30_000);
