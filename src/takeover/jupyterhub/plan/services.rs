//! Services: those that were made through the API come in, those of the configuration belong into ours.

use super::groups::{list, quoted};
use super::{Planner, key};
use crate::model::ServiceName;
use crate::store::ServiceRow;
use crate::takeover::jupyterhub::old::{OldService, Table};

impl Planner<'_> {
    pub(super) fn services(&mut self) {
        let old = self.old;
        for service in &old.services {
            let name = match ServiceName::parse(&service.name) {
                Ok(name) => name,
                Err(error) => {
                    self.not_taken(Table::Services, &service.name, error.to_string());
                    continue;
                }
            };
            let key = key(Table::Services, &[name.as_str()]);
            let came_before = self.came_before(&key);
            if self.ours.settings.services.contains(&name) {
                self.tally(Table::Services).configured += 1;
            } else if service.from_config {
                self.tally(Table::Services).configured += 1;
                self.plan.to_set.push(service_table(service));
                continue;
            } else if self.ours.services.contains(&name) && came_before {
                self.tally(Table::Services).there += 1;
            } else if self.ours.services.contains(&name) {
                self.kept(Table::Services, &service.name, "a service of that name is here, and stays as it is");
                continue;
            } else if came_before {
                self.kept(Table::Services, &service.name, "it came in before, and has been deleted here since");
                continue;
            } else {
                self.taken(Table::Services, key);
                self.plan.services.push(row(service, name.clone()));
            }
            self.services.insert(service.id, name);
        }
    }
}

fn row(service: &OldService, name: ServiceName) -> ServiceRow {
    ServiceRow {
        name,
        url: service.url.clone(),
        admin: service.admin,
        info: service.info.clone(),
        display: service.display,
        oauth_client_id: service.oauth_client_id.clone(),
        oauth_redirect_uri: service.oauth_redirect_uri.clone(),
        oauth_no_confirm: service.oauth_no_confirm,
        oauth_client_allowed_scopes: service.oauth_client_allowed_scopes.clone(),
    }
}

fn service_table(service: &OldService) -> String {
    let mut text = format!("[[services]]\nname = {}\n", quoted(&service.name));
    if let Some(url) = service.url.as_ref().filter(|url| !url.is_empty()) {
        text += &format!("url = {}\n", quoted(url));
    }
    if service.admin {
        text += "admin = true\n";
    }
    if !service.oauth_client_allowed_scopes.is_empty() {
        text += &format!("oauth_client_allowed_scopes = {}\n", list(&service.oauth_client_allowed_scopes));
    }
    text + "# api_token = the one in jupyterhub_config.py; command, environment and cwd too, if Slipway is to run it\n"
}
