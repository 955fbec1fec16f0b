//! How the spawner gets graphics processors for its servers without knowing `gpu`, nor what groups say of them.

use crate::auth::Auth;
use crate::gpu::{Answer, Devices, Gpus, Rules};
use crate::model::{GpuHeld, GrantedGpu, ServerKey};
use crate::spawner::{GpuAnswer, GpuLender, GpuRequest};

/// The real lender.
pub(super) struct Lender {
    pub(super) gpus: Gpus,
    pub(super) auth: Auth,
}

impl GpuLender for Lender {
    fn ask(&self, server: &ServerKey, grant: Option<&GrantedGpu>) -> GpuAnswer {
        // Whoever starts in the first second of ours is not to be left without for all of a day.
        if self.gpus.is_looking() {
            return GpuAnswer::Wait("Looking which GPUs there are".into());
        }
        match self.gpus.ask(server, grant, &rules_of(&self.auth)) {
            Answer::Wait(sentence) => GpuAnswer::Wait(sentence),
            Answer::Given(held) => GpuAnswer::Given {
                request: match self.gpus.devices(&held) {
                    Devices::None => GpuRequest::None,
                    Devices::All => GpuRequest::All,
                    Devices::Ids(ids) => GpuRequest::Ids(ids),
                },
                held,
            },
        }
    }

    fn adopt(&self, server: &ServerKey, held: &GpuHeld) {
        self.gpus.adopt(server, held.clone());
    }

    fn release(&self, server: &ServerKey) {
        self.gpus.release(server);
    }

    fn at_work(&self, percent: u32) -> Vec<ServerKey> {
        self.gpus.at_work(percent)
    }
}

fn rules_of(auth: &Auth) -> Rules {
    let grants = auth.groups().into_iter().map(|group| group.grants.gpu).filter(|gpu| gpu.is_active);
    let mut rules = Rules::default();
    for grant in grants {
        rules.has_grants = true;
        if grant.is_exclusive {
            rules.set_aside.push(grant.devices);
        }
    }
    rules
}
