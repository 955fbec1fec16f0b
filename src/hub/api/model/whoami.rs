//! Who asks, as `GET /user` answers: the model of a user or a service, and what they came with.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::openapi::schema::{OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::user::UserModel;

/// The caller.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(in crate::hub) enum WhoamiModel {
    /// A person, or a program of theirs.
    User(Box<Whoami<UserModel>>),
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
        OneOfBuilder::new().item(Ref::from_schema_name("WhoamiUser")).into()
    }
}

impl ToSchema for WhoamiModel {
    fn name() -> Cow<'static, str> {
        "Whoami".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("WhoamiUser".to_owned(), flattened::<UserModel>()));
        UserModel::schemas(schemas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_model_is_one_closed_object() {
        let RefOr::T(Schema::Object(schema)) = flattened::<UserModel>() else { panic!("an object") };
        for name in ["name", "servers", "token_id", "session_id", "scopes"] {
            assert!(schema.properties.contains_key(name), "{name}");
        }
        assert!(schema.additional_properties.is_some());
    }
}
