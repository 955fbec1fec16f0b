//! Who asks, as `GET /user` answers: the model of a user or a service, and what they came with.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::service::ServiceModel;
use super::user::UserModel;

/// The model of a user or of a service, as each is written elsewhere.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Owner)]
#[serde(untagged)]
pub(in crate::hub) enum OwnerModel {
    /// A person.
    User(Box<UserModel>),
    /// A program beside the hub.
    Service(Box<ServiceModel>),
}

/// The caller.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(in crate::hub) enum WhoamiModel {
    /// A person, or a program of theirs.
    User(Box<Whoami<UserModel>>),
    /// A program beside the hub.
    Service(Box<Whoami<ServiceModel>>),
}

/// A model with what the caller came with.
#[derive(Clone, Debug, Serialize)]
pub(in crate::hub) struct Whoami<M> {
    /// Who they are.
    #[serde(flatten)]
    pub(in crate::hub::api) owner: M,
    #[serde(flatten)]
    pub(in crate::hub::api) came_with: CameWith,
}

/// What the caller came with.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::hub) struct CameWith {
    /// The token they sent, by its id.
    #[schema(required)]
    pub(in crate::hub::api) token_id: Option<String>,
    /// The browser session that the token ends with.
    #[schema(required)]
    pub(in crate::hub::api) session_id: Option<String>,
    /// All that they may do: expanded, sorted.
    pub(in crate::hub::api) scopes: Vec<String>,
}

/// The flattened parts as one closed object: as `allOf` each would refuse the other's fields.
fn flattened<M: PartialSchema>() -> RefOr<Schema> {
    let (mut schema, more) = (M::schema(), CameWith::schema());
    if let (RefOr::T(Schema::Object(schema)), RefOr::T(Schema::Object(more))) = (&mut schema, more) {
        schema.properties.extend(more.properties);
        schema.required.extend(more.required);
        schema.example = None;
    }
    schema
}

impl PartialSchema for WhoamiModel {
    fn schema() -> RefOr<Schema> {
        let names = ["WhoamiUser", "WhoamiService"];
        names.into_iter().fold(OneOfBuilder::new(), |one, name| one.item(Ref::from_schema_name(name))).into()
    }
}

impl ToSchema for WhoamiModel {
    fn name() -> Cow<'static, str> {
        "Whoami".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("WhoamiUser".to_owned(), flattened::<UserModel>()));
        schemas.push(("WhoamiService".to_owned(), flattened::<ServiceModel>()));
        UserModel::schemas(schemas);
        ServiceModel::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_model_is_one_closed_object() {
        for (schema, own) in [(flattened::<UserModel>(), "servers"), (flattened::<ServiceModel>(), "prefix")] {
            let RefOr::T(Schema::Object(schema)) = schema else { panic!("an object") };
            for name in ["name", own, "token_id", "session_id", "scopes"] {
                assert!(schema.properties.contains_key(name), "{name}");
            }
            assert!(schema.additional_properties.is_some());
        }
    }
}
