//! How a backend finds one thing of its own again.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// JSON in its backend's own form, which nobody else reads; kept in the store. Held as text, which whoever holds it shares: as a tree of
/// tables it would be 600 bytes and more, several times for each of 100,000 servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle(Arc<str>);

impl Handle {
    /// What the backend wrote; none if this is another backend's.
    #[must_use]
    pub fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.0).ok()
    }
}

impl From<serde_json::Value> for Handle {
    fn from(value: serde_json::Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|text| Self(text.get().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        #[serde(default)]
        handle: Option<Handle>,
    }

    #[test]
    fn a_handle_is_kept_as_the_backend_wrote_it() {
        let handle = Handle::from(serde_json::json!({ "container": "abc", "more": [1, "ü"] }));
        let row = Row { handle: Some(handle.clone()) };
        let kept = serde_json::to_string(&row).expect("a row");
        assert_eq!(kept, r#"{"handle":{"container":"abc","more":[1,"ü"]}}"#);
        assert_eq!(serde_json::from_str::<Row>(&kept).expect("a row"), row);
        assert_eq!(handle.read::<serde_json::Value>().map(|value| value["container"] == "abc"), Some(true));
        assert_eq!(handle.read::<u64>(), None, "another backend's");
    }

    #[test]
    fn a_row_without_a_handle_has_none() {
        assert_eq!(serde_json::from_str::<Row>(r#"{"handle":null}"#).expect("a row"), Row { handle: None });
        assert_eq!(serde_json::from_str::<Row>("{}").expect("a row"), Row { handle: None });
    }
}
