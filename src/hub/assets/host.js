// The samples behind this page are taken every half minute: it looks as often.
"use strict";

setInterval(() => document.dispatchEvent(new CustomEvent("live:look")), 30_000);
