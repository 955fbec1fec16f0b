//! What a browser calls itself, in people's words: «Firefox on Linux». A guess for the list of devices, and nothing else.

/// How a device is called and drawn.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeviceWords {
    /// `Firefox on Linux`, `A browser on Android`, `curl`, `An unknown device`.
    pub(super) name: String,
    /// It fits a hand.
    pub(super) is_handheld: bool,
}

/// Marks and names of browsers. In this order: most also claim to be the ones below them.
const BROWSERS: [(&str, &str); 20] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chromium"),
    ("Chromium/", "Chromium"),
    ("Electron/", "A desktop program"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("python-requests/", "A Python program"),
    ("python-httpx/", "A Python program"),
];

/// Marks and names of systems, and whether they are held in a hand. Android also claims to be Linux, an iPhone a Mac.
const SYSTEMS: [(&str, &str, bool); 10] = [
    ("iPhone", "iPhone", true),
    ("iPad", "iPad", true),
    ("Android", "Android", true),
    ("CrOS", "ChromeOS", false),
    ("Windows", "Windows", false),
    ("Macintosh", "macOS", false),
    ("Mac OS X", "macOS", false),
    ("FreeBSD", "FreeBSD", false),
    ("Linux", "Linux", false),
    ("X11", "Unix", false),
];

/// Reads a `User-Agent`.
pub(super) fn device_of(agent: &str) -> DeviceWords {
    let browser = BROWSERS.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name);
    let system = SYSTEMS.iter().find(|(mark, ..)| agent.contains(mark)).map(|(_, name, _)| *name);
    let is_handheld =
        SYSTEMS.iter().find(|(mark, ..)| agent.contains(mark)).is_some_and(|(.., is_handheld)| *is_handheld);
    let name = match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        (None, Some(system)) => format!("A browser on {system}"),
        (None, None) => "An unknown device".to_owned(),
    };
    DeviceWords { name, is_handheld }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_as_people_name_it() {
        let check = |agent: &str, name: &str, is_handheld: bool| {
            assert_eq!(device_of(agent), DeviceWords { name: name.to_owned(), is_handheld }, "{agent}");
        };
        check("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox on Linux", false);
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            "Edge on Windows",
            false,
        );
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
            "Safari on macOS",
            false,
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0 Mobile/15E148 Safari/604.1",
            "Chrome on iPhone",
            true,
        );
        check(
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
            "Samsung Internet on Android",
            true,
        );
        check(
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36",
            "Chrome on ChromeOS",
            false,
        );
        check("curl/8.14.1", "curl", false);
        check("Mozilla/5.0 (X11; Linux x86_64)", "A browser on Linux", false);
        check("", "An unknown device", false);
        check("<script>Firefox/</script>", "Firefox", false);
    }
}
