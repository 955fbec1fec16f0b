//! The labels by which we know our containers again, and by which we keep our hands off others'.

use std::collections::HashMap;

use crate::model::{Generation, InstanceId, ServerKey, ServerName, UserName};

pub(super) const INSTANCE: &str = "slipway.instance";
const USER: &str = "slipway.user";
const SERVER: &str = "slipway.server";
const GENERATION: &str = "slipway.generation";
/// A hash of what the container was made from: tells an administrator which servers still run with old settings.
const CONFIG: &str = "slipway.config";

/// The labels of one start of one server.
pub(super) fn of_container(
    instance: &InstanceId,
    server: &ServerKey,
    generation: Generation,
    config_hash: String,
) -> HashMap<String, String> {
    HashMap::from([
        (INSTANCE.into(), instance.to_string()),
        (USER.into(), server.user.to_string()),
        (SERVER.into(), server.name.as_str().into()),
        (GENERATION.into(), generation.to_string()),
        (CONFIG.into(), config_hash),
    ])
}

/// The labels of a volume: whose it is. Volumes outlive installations, so no ownership follows from them.
pub(super) fn of_volume(instance: &InstanceId, server: Option<&ServerKey>) -> HashMap<String, String> {
    let mut labels = HashMap::from([(INSTANCE.into(), instance.to_string())]);
    if let Some(server) = server {
        labels.insert(USER.into(), server.user.to_string());
    }
    labels
}

/// True if these are the labels of a volume that this installation made and that is nobody's own.
pub(super) fn is_for_all(instance: &InstanceId, labels: &HashMap<String, String>) -> bool {
    labels.get(INSTANCE).map(String::as_str) == Some(instance.0.as_str()) && !labels.contains_key(USER)
}

/// Which server and which start of it, if these are the labels of a container of this installation.
pub(super) fn read(instance: &InstanceId, labels: &HashMap<String, String>) -> Option<(ServerKey, Generation)> {
    let label = |name: &str| labels.get(name).map(String::as_str);
    if label(INSTANCE) != Some(instance.0.as_str()) {
        return None;
    }
    let user = UserName::from_path(label(USER)?)?;
    let name = ServerName::parse(label(SERVER)?).ok()?;
    let generation = label(GENERATION)?.parse().ok()?;
    Some((ServerKey { user, name }, Generation(generation)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_label_we_read_again_and_nobody_elses() {
        let instance = InstanceId("00ff".into());
        let server = ServerKey {
            user: UserName::parse("a@b").expect("a name"),
            name: ServerName::parse("gpu").expect("a name"),
        };
        let labels = of_container(&instance, &server, Generation(7), "x".into());
        assert_eq!(read(&instance, &labels), Some((server.clone(), Generation(7))));
        assert_eq!(read(&InstanceId("00fe".into()), &labels), None);
        assert_eq!(read(&instance, &of_volume(&instance, Some(&server))), None);
        assert_eq!(read(&instance, &HashMap::new()), None);
    }
}
