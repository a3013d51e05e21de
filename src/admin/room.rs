//! Who is connected: so many operators, and so many guests beside them, so that none of the two takes the other's room.
//!
//! Whoever connects is a guest: a probe, a page that is being loaded, somebody who signs in, or somebody who means harm. A
//! guest too many sends one away who is there: the oldest of the address that most of them come from. So whoever connects
//! is let in, and a probe is answered, however many connections others hold and however slowly they use them. A guest who
//! asks for what is the operators' alone, and may, is an operator from then on, and is not sent away, until a request comes
//! that shows nothing of the kind: whoever knew a token that has been changed since holds no operator's place with it.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::access::network;

/// The most connections of operators at a time. Those who follow events are fewer, so that there is room for others.
const MOST_OPERATORS: usize = 64;

/// The most connections of guests at a time.
const MOST_GUESTS: usize = 64;

/// Who is connected.
pub(super) struct Room {
    /// The oldest first.
    guests: Mutex<Vec<Guest>>,
    operators: Arc<Semaphore>,
}

#[derive(Clone)]
struct Guest {
    network: IpAddr,
    leave: Arc<Notify>,
}

/// The place of one connection, which is free again when this is dropped.
pub(super) struct Seat {
    room: Arc<Room>,
    guest: Guest,
    operator: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Room {
    /// There is nobody yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            guests: Mutex::default(),
            operators: Arc::new(Semaphore::new(MOST_OPERATORS)),
        })
    }

    /// A place for a guest from this address, where need be that of another.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Seat {
        let guest = Guest {
            network: network(address),
            leave: Arc::new(Notify::new()),
        };
        self.seat(guest.clone());
        Seat {
            room: self.clone(),
            guest,
            operator: Mutex::default(),
        }
    }

    fn seat(&self, guest: Guest) {
        let mut guests = self.guests();
        guests.push(guest);
        if guests.len() > MOST_GUESTS {
            let at = one_too_many(&guests);
            guests.remove(at).leave.notify_one();
        }
    }

    fn guests(&self) -> MutexGuard<'_, Vec<Guest>> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Comes to an end when this guest has to go.
    pub(super) async fn is_needed(&self) {
        self.guest.leave.notified().await;
    }

    /// An operator sits here from now on. False where there is no room for one more.
    pub(super) fn seats_an_operator(&self) -> bool {
        let mut operator = self.operator();
        if operator.is_some() {
            return true;
        }
        let Ok(permit) = self.room.operators.clone().try_acquire_owned() else {
            return false;
        };
        self.leave_the_guests();
        *operator = Some(permit);
        true
    }

    /// Whoever sits here shows nothing that makes an operator, any more perhaps: a guest, from now on the latest.
    pub(super) fn seats_a_guest(&self) {
        if self.operator().take().is_some() {
            self.room.seat(self.guest.clone());
        }
    }

    fn operator(&self) -> MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.operator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave_the_guests(&self) {
        let mut guests = self.room.guests();
        guests.retain(|guest| !Arc::ptr_eq(&guest.leave, &self.guest.leave));
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave_the_guests();
    }
}

/// Which of them is to go: the oldest of the address that has the most.
fn one_too_many(guests: &[Guest]) -> usize {
    let mut chosen = (0, 0);
    for (at, guest) in guests.iter().enumerate() {
        let of_it = guests.iter().filter(|one| one.network == guest.network);
        let count = of_it.count();
        if count > chosen.1 {
            chosen = (at, count);
        }
    }
    chosen.0
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    fn must_go(seat: &Seat) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(seat.is_needed()).poll(&mut context).is_ready()
    }

    #[test]
    fn whoever_holds_the_most_makes_room_and_whoever_holds_one_stays() {
        let room = Room::new();
        let address = |last| IpAddr::from(Ipv4Addr::new(10, 0, 0, last));
        let probe = room.enter(address(1));
        let many: Vec<_> = (0..1000).map(|_| room.enter(address(2))).collect();
        assert!(!must_go(&probe));
        let gone = many.iter().filter(|seat| must_go(seat)).count();
        assert_eq!(gone, 1000 - (MOST_GUESTS - 1));
        assert!(many[..gone].iter().all(|seat| !must_go(seat)), "told twice");
        drop(many);
        assert_eq!(room.guests().len(), 1);
    }

    #[test]
    fn of_as_many_the_oldest_goes() {
        let room = Room::new();
        let seats: Vec<_> = (0..=u8::try_from(MOST_GUESTS).unwrap())
            .map(|last| room.enter(Ipv4Addr::new(10, 0, 0, last).into()))
            .collect();
        let gone: Vec<_> = seats.iter().map(must_go).collect();
        assert!(gone[0] && gone[1..].iter().all(|gone| !gone));
    }

    #[test]
    fn an_operator_is_no_guest_and_their_number_is_bounded() {
        let room = Room::new();
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        let operators: Vec<_> = (0..MOST_OPERATORS)
            .map(|_| room.enter(address))
            .inspect(|seat| assert!(seat.seats_an_operator()))
            .collect();
        assert!(operators[0].seats_an_operator(), "it is one already");
        let guests: Vec<_> = (0..2 * MOST_GUESTS)
            .map(|_| room.enter(address))
            .inspect(|seat| assert!(!seat.seats_an_operator()))
            .collect();
        assert!(!operators.iter().any(must_go));
        assert_eq!(room.guests().len(), MOST_GUESTS);
        operators[0].seats_a_guest();
        assert!(guests[2 * MOST_GUESTS - 1].seats_an_operator());
        assert!(!operators[0].seats_an_operator());
        let _one_more = room.enter(Ipv4Addr::new(10, 0, 0, 1).into());
        assert_eq!(room.guests().len(), MOST_GUESTS);
        drop(operators);
        assert!(guests[2 * MOST_GUESTS - 2].seats_an_operator());
    }
}
