//! Bad input is told by the name of the field that is wrong: for every field that the description names.

use anyhow::{Context as _, Result, ensure};
use harness::system::{ADA, Answer, Client, Method, System};
use serde_json::{Map, Value, json};

use super::description;

/// A link that was cut short does not hold, as one that has expired: whoever opens it is told to ask for another (404), and not
/// which field is wrong.
const OF_A_LINK: &str = "token";

#[tokio::test]
async fn whatever_field_is_wrong_its_name_is_told() -> Result<()> {
    let system = System::start().await?;
    let (_, api) = description(&system).await?;
    let client = system.login(&ADA).await?;
    let mut told = Vec::new();
    for (path, item) in api["paths"].as_object().context("paths")? {
        for (method, operation) in item.as_object().context("a path")? {
            let call = Call {
                api: &api,
                client: &client,
                method: method.to_uppercase().parse()?,
                path,
                operation,
            };
            told.extend(call.parameters("path").await?);
            told.extend(call.parameters("query").await?);
            told.extend(call.body().await?);
        }
    }
    let expected = ["DELETE /auth/sessions/{id} id", "POST /auth/login email"];
    for field in expected {
        ensure!(told.iter().any(|seen| seen == field), "{field}: {told:?}");
    }
    Ok(())
}

/// An operation, to be called with something wrong.
struct Call<'a> {
    api: &'a Value,
    client: &'a Client,
    method: Method,
    path: &'a str,
    operation: &'a Value,
}

impl Call<'_> {
    /// Those parameters that not every text is good for, each with one that is wrong; their names.
    async fn parameters(&self, place: &str) -> Result<Vec<String>> {
        let mut told = Vec::new();
        let all = self.operation["parameters"].as_array();
        for parameter in all.into_iter().flatten() {
            let schema = self.resolved(&parameter["schema"]);
            let strict = is_of(schema, "integer") || schema["pattern"].is_string();
            if parameter["in"] != place || !strict || parameter["name"] == OF_A_LINK {
                continue;
            }
            let name = parameter["name"].as_str().context("a name")?;
            let wrong = if place == "path" {
                self.filled(name, "~")
            } else {
                format!("{}?{name}=~", self.filled("", ""))
            };
            let request = self.client.request(self.method.clone(), &wrong);
            told.push(self.names(name, &request.send().await?)?);
        }
        Ok(told)
    }

    /// The fields of a JSON body, each with a value of a wrong type; their names. And one that there is not.
    async fn body(&self) -> Result<Vec<String>> {
        let content = &self.operation["requestBody"]["content"]["application/json"];
        let schema = self.resolved(&content["schema"]);
        let Some(properties) = schema["properties"].as_object() else {
            return Ok(Vec::new());
        };
        let mut told = Vec::new();
        for (name, property) in properties {
            let property = self.resolved(property);
            let wrong = if is_of(property, "string") || is_of(property, "array") {
                json!(7)
            } else {
                json!("~")
            };
            told.push(self.names(name, &self.send(name, wrong).await?)?);
        }
        self.names("nobodys", &self.send("nobodys", json!(1)).await?)?;
        for required in schema["required"].as_array().into_iter().flatten().take(1) {
            let required = required.as_str().context("a name")?;
            let request = self
                .client
                .request(self.method.clone(), &self.filled("", ""));
            self.names(required, &request.json(&json!({})).send().await?)?;
        }
        Ok(told)
    }

    async fn send(&self, name: &str, value: Value) -> Result<Answer> {
        let body = Value::Object(Map::from_iter([(name.to_owned(), value)]));
        let request = self
            .client
            .request(self.method.clone(), &self.filled("", ""));
        request.json(&body).send().await
    }

    /// The path with `text` for `name`, and an id that nobody has for every other parameter.
    fn filled(&self, name: &str, text: &str) -> String {
        let segments = self.path.split('/').map(|segment| {
            match segment
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'))
            {
                Some(parameter) if parameter == name => text,
                Some(_) => "AAAAAAAAAAAAAAAAAAAAAA",
                None => segment,
            }
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// That the answer begins with the name of the field, as "path field".
    fn names(&self, field: &str, answer: &Answer) -> Result<String> {
        let what = format!("{} {} {field}", self.method, self.path);
        ensure!(answer.status() == 400, "{what}: {answer}");
        let problem = answer.json()?;
        ensure!(problem["code"] == "invalid_request", "{what}: {answer}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        ensure!(detail.starts_with(&format!("{field} ")), "{what}: {detail}");
        Ok(what)
    }

    fn resolved<'v>(&'v self, schema: &'v Value) -> &'v Value {
        match schema["$ref"]
            .as_str()
            .and_then(|path| path.strip_prefix('#'))
        {
            Some(path) => self.api.pointer(path).unwrap_or(schema),
            None => schema,
        }
    }
}

/// Whether values of `schema` are, or may be, of this type.
fn is_of(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    }
}
