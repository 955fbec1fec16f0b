//! A server that is given a graphics processor of its own: who waits for it, and who has it after our own restart.

use super::*;
use crate::model::GpuHeld;

/// Lends one graphics processor to everybody but `u0`, who wants none.
#[derive(Default)]
struct OneGpu(Mutex<Option<ServerKey>>);

fn one() -> GpuHeld {
    GpuHeld { uuids: vec!["GPU-1".into()], is_exclusive: true, is_unseen: false }
}

impl GpuLender for OneGpu {
    fn ask(&self, server: &ServerKey, _: Option<&GrantedGpu>) -> GpuAnswer {
        if *server == user("u0") {
            return GpuAnswer::Given { request: GpuRequest::None, held: GpuHeld::default() };
        }
        let mut holder = self.0.lock();
        if holder.as_ref().is_some_and(|holder| holder != server) {
            return GpuAnswer::Wait("Waiting for a GPU, place 1 of 1".into());
        }
        *holder = Some(server.clone());
        GpuAnswer::Given { request: GpuRequest::Ids(one().uuids), held: one() }
    }

    fn adopt(&self, server: &ServerKey, held: &GpuHeld) {
        assert_eq!(*held, one());
        *self.0.lock() = Some(server.clone());
    }

    fn release(&self, server: &ServerKey) {
        self.0.lock().take_if(|holder| holder == server);
    }
}

async fn world() -> World {
    let world = World::new(|config| config.starts_at_once = 1).await;
    *world.stage.lender.lock() = Some(Arc::new(OneGpu::default()));
    world.reopen().await
}

async fn waits(world: &World, server: &ServerKey) {
    world.spawner.start(server, Wish::of("test")).await.expect("the wish is taken");
    let mut watch = world.spawner.watch(server);
    let waited = timeout(PATIENCE, watch.wait_for(|status| status.message.contains("place 1 of 1"))).await;
    assert!(waited.is_ok(), "{:?}", world.spawner.status(server));
}

#[tokio::test]
async fn who_waits_for_a_gpu_sees_his_place_and_keeps_nobody_from_starting() {
    let world = world().await;
    world.ready(&user("alice")).await;
    waits(&world, &user("bob")).await;
    // There is one turn at a time, and it is not bob's.
    world.ready(&user("u0")).await;
    world.spawner.stop(&user("alice"), "test").await.expect("taken");
    world.until(&user("bob"), |state| *state == ServerState::Ready).await;
    let orders = world.stage.orders.lock();
    let of = |name: &str| orders.iter().find(|order| order.server == user(name)).expect("it was made").clone();
    assert_eq!(of("bob").extras.gpu, GpuRequest::Ids(vec!["GPU-1".into()]));
    assert_eq!(of("bob").environment.0["NVIDIA_VISIBLE_DEVICES"], "GPU-1");
    assert_eq!(of("bob").environment.0["CUDA_VISIBLE_DEVICES"], "GPU-1");
    assert_eq!(of("u0").extras.gpu, GpuRequest::None);
    assert_eq!(of("u0").environment.0["NVIDIA_VISIBLE_DEVICES"], "void");
}

#[tokio::test]
async fn a_gpu_that_a_running_server_has_is_not_given_again_after_our_restart() {
    let world = world().await;
    world.ready(&user("alice")).await;
    // A lender that knows of nobody: as we do after a restart.
    *world.stage.lender.lock() = Some(Arc::new(OneGpu::default()));
    let world = world.reopen().await;
    world.until(&user("alice"), |state| *state == ServerState::Ready).await;
    waits(&world, &user("bob")).await;
    world.spawner.stop(&user("alice"), "test").await.expect("taken");
    world.until(&user("bob"), |state| *state == ServerState::Ready).await;
}

#[tokio::test]
async fn who_waits_too_long_or_gives_up_waits_no_longer() {
    let world = world().await;
    world.ready(&user("alice")).await;
    waits(&world, &user("bob")).await;
    world.spawner.stop(&user("bob"), "test").await.expect("taken");
    world.until(&user("bob"), |state| *state == ServerState::Stopped).await;
    waits(&world, &user("c")).await;
    world.pass(Duration::from_secs(world.config.queue_timeout_s + 1)).await;
    let failed = world.until(&user("c"), |state| matches!(state, ServerState::Failed(_))).await;
    let ServerState::Failed(failure) = failed.state else { panic!("it has failed") };
    assert!(failure.sentence.contains("no GPU became free"), "{}", failure.sentence);
    assert_eq!(world.spawner.status(&user("alice")).state, ServerState::Ready);
}
