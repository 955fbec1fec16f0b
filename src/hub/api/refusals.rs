//! What the description says of every operation, once: the ways to authenticate beside a token, and the errors that
//! any of them may give, also those that the edge and the wire give before the hub is asked.

use serde_json::{Map, Value, json};

/// An error that many operations share.
struct Refusal {
    status: &'static str,
    name: &'static str,
    description: &'static str,
    /// Says when to come back.
    waits: bool,
    /// Said by the wire, too, which has only text.
    is_of_the_wire: bool,
}

impl Refusal {
    const fn new(status: &'static str, name: &'static str, description: &'static str) -> Self {
        Self { status, name, description, waits: false, is_of_the_wire: false }
    }

    const fn waiting(self) -> Self {
        Self { waits: true, ..self }
    }

    const fn of_the_wire(self) -> Self {
        Self { is_of_the_wire: true, ..self }
    }
}

const REFUSALS: [Refusal; 13] = [
    Refusal::new("400", "BadRequest", "The request is not as it must be.").of_the_wire(),
    Refusal::new("403", "Forbidden", "Nobody's credentials, or none of the scopes is held in any form."),
    Refusal::new("404", "NotFound", "No such resource, or the scopes are held for others: the words are the same."),
    Refusal::new("405", "WrongMethod", "There is nothing here that this method does.").of_the_wire(),
    Refusal::new("413", "TooLarge", "The body is over its limit."),
    Refusal::new("414", "AddressTooLong", "The address is over its limit.").of_the_wire(),
    Refusal::new("421", "WrongHost", "This host is none of ours."),
    Refusal::new("429", "TooMany", "A limit is reached; try again later.").waiting(),
    Refusal::new("431", "HeadersTooLarge", "The headers are over their limit.").of_the_wire(),
    Refusal::new("500", "Broken", "Something went wrong on our side."),
    Refusal::new("503", "Busy", "Busy, or being restarted; try again.").waiting(),
    Refusal::new("504", "Slow", "There was no answer in time."),
    Refusal::new("507", "NoRoom", "The hub's disk is full; nothing has been changed."),
];

impl Refusal {
    fn response(&self) -> Value {
        let error = json!({ "schema": { "$ref": "#/components/schemas/Error" } });
        let mut content = json!({ "application/json": error });
        if self.is_of_the_wire {
            content["text/plain"] = json!({ "schema": { "type": "string" } });
        }
        let mut response = json!({ "description": self.description, "content": content });
        if self.waits {
            let seconds = json!({ "type": "integer", "minimum": 1 });
            response["headers"] = json!({ "Retry-After": { "description": "Seconds to wait.", "schema": seconds } });
        }
        response
    }
}

/// The shared answers, by name.
pub(super) fn shared() -> Map<String, Value> {
    REFUSALS.iter().map(|refusal| (refusal.name.to_owned(), refusal.response())).collect()
}

/// Adds what is true of any operation of its kind, where it does not say so itself: the other ways to authenticate
/// (a handler names the one of a `token`, with its scopes), and the errors.
pub(super) fn complete(operation: &mut Value, path: &str, method: &str) {
    // One of them is enough: each is a way of its own.
    let scopes: Vec<_> =
        operation["security"].as_array().into_iter().flatten().filter_map(|way| way.get("token")).collect();
    let is_open = scopes.is_empty();
    if !is_open {
        let session =
            if method == "get" { json!({ "session": [] }) } else { json!({ "session": [], "form_token": [] }) };
        let tokens = scopes.iter().map(|scopes| json!({ "token": scopes }));
        let bearers = scopes.iter().map(|scopes| json!({ "bearer": scopes }));
        operation["security"] = tokens.chain(bearers).chain([session]).collect();
    }
    let is_possible = |status: &str| match status {
        "403" => !is_open,
        "404" => path.contains('{'),
        "507" => method != "get",
        _ => true,
    };
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for refusal in REFUSALS.iter().filter(|refusal| is_possible(refusal.status)) {
        let reference = json!({ "$ref": format!("#/components/responses/{}", refusal.name) });
        responses.entry(refusal.status).or_insert(reference);
    }
}
