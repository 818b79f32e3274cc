// SPDX-License-Identifier: PostgreSQL
//! Listens to the first argument with the crate tungstenite: asks once, prints each message, and at last the
//! close code.
use tungstenite::{client::IntoClientRequest, connect, http::HeaderValue, Error, Message};

fn main() {
    let mut request = std::env::args().nth(1).unwrap().into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("pgherald"));
    let (mut socket, _) = connect(request).expect("an open WebSocket");
    socket.send(Message::Ping(vec![b'x'; 125])).unwrap();
    let id = "κ".repeat(20);
    socket.send(Message::Text(format!("{{\"action\": \"ping\", \"request_id\": \"{id}\"}}"))).unwrap();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => println!("{text}"),
            Ok(Message::Pong(data)) => println!("{{\"event\": \"pong\", \"data\": {}}}", data.len()),
            Ok(Message::Close(Some(frame))) => println!("{{\"event\": \"close\", \"data\": {}}}", u16::from(frame.code)),
            Ok(_) => {}
            Err(Error::ConnectionClosed) | Err(_) => return,
        }
    }
}
