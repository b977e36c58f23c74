/// What clients of before access send to a server that has changed nothing, and what they get: the contract, written down
/// and never changed.
///
/// A step is a request and its answer: a line with the method, the path and maybe a body; the request's headers, indented; a
/// line with the status; the answer's headers, indented; and maybe a body. `<name:kind>` stands for a value of that kind, or
/// for the same one again once it is known: then it is `<name>`. An answer may have more headers, and an object more members.
/// `{n*x}` is n times x.
enum OldClientSteps {
    static let all = [applications, chats, messages, pages, search, errors, limits, others].joined(separator: "\n\n")

    static let applications = """
        POST /applications {"name":"first"}
        201
          Content-Type: application/json; charset=utf-8
          Location: /applications/<token:hex32>
          X-Request-Id: <:any>
        {"name":"first","token":"<token>"}

        POST /applications {"application":{"name":" Zoë 😀 "},"name":"flat"}
        201
        {"name":" Zoë 😀 ","token":"<:hex32>"}

        POST /applications {"name":5}
        201
        {"name":"5","token":"<:hex32>"}

        POST /applications {"name":true}
        201
        {"name":"1","token":"<:hex32>"}

        POST /applications {"name":"{255*é}"}
        201
        {"name":"{255*é}","token":"<:hex32>"}

        POST /applications {"name":"form","unknown":[{"a":null}]}
          X-Request-Id: my-own-id
        201
          X-Request-Id: my-own-id
        {"name":"form","token":"<:hex32>"}

        GET /applications/<token>
        200
          Content-Type: application/json; charset=utf-8
        {"name":"first","token":"<token>","chats_count":<:integer>,"messages_count":<:integer>,"created_at":"<created:time>"}

        PATCH /applications/<token> {"name":"second"}
        200
        {"name":"second","token":"<token>"}

        PUT /applications/<token> {"application":{"name":"third"}}
        200
        {"name":"third","token":"<token>"}

        GET /applications/<token>
        200
        {"name":"third","token":"<token>","created_at":"<created>"}

        GET /applications/<token>/message_count
        200
        {"application_token":"<token>","messages_count":0}

        HEAD /applications/<token>
        200
          Content-Type: application/json; charset=utf-8

        """

    static let chats = """
        POST /applications/<token>/chats
        201
          Location: /applications/<token>/chats/1
        {"chat_number":1}

        POST /applications/<token>/chats {"anything":[1,{"x":null}]}
        201
          Location: /applications/<token>/chats/2
        {"chat_number":2}

        POST /applications/<token>/chats {}
          Idempotency-Key: chat-key
        201
          Location: /applications/<token>/chats/3
        {"chat_number":3}

        POST /applications/<token>/chats {}
          Idempotency-Key: chat-key
        201
          Idempotent-Replayed: true
          Location: /applications/<token>/chats/3
        {"chat_number":3}

        GET /applications/<token>/chats
        200
        [{"number":1,"messages_count":<:integer>,"created_at":"<:time>"},{"number":2},{"number":3}]

        GET /applications/<token>/chats/1
        200
        {"chat_number":1,"messages_count":<:integer>,"created_at":"<:time>"}

        GET /applications/<token>/chats/1/message_count
        200
        {"chat_number":1,"messages_count":0}

        """

    static let messages = """
        POST /applications/<token>/chats/1/messages {"body":"hi"}
        201
          Content-Type: application/json; charset=utf-8
          Location: /applications/<token>/chats/1/messages/1
        {"message_number":1,"body":"hi","created_at":"<hi:time>"}

        POST /applications/<token>/chats/1/messages {"message":{"body":" É😀\\n\\"\\\\ "}}
        201
        {"message_number":2,"body":" É😀\\n\\"\\\\ "}

        POST /applications/<token>/chats/1/messages {"body":1.5}
        201
        {"message_number":3,"body":"1.5"}

        POST /applications/<token>/chats/1/messages {"body":false}
        201
        {"message_number":4,"body":"0"}

        POST /applications/<token>/chats/1/messages {"body":"keyed"}
          Idempotency-Key: message-key
        201
        {"message_number":5,"body":"keyed","created_at":"<keyed:time>"}

        POST /applications/<token>/chats/1/messages {"body":"keyed"}
          Idempotency-Key: message-key
        201
          Idempotent-Replayed: true
          Location: /applications/<token>/chats/1/messages/5
        {"message_number":5,"body":"keyed","created_at":"<keyed>"}

        POST /applications/<token>/chats/1/messages {"body":"another"}
          Idempotency-Key: message-key
        422
          Content-Type: application/problem+json
        {"status":422,"errors":["Idempotency-Key was used before with another body"]}

        GET /applications/<token>/chats/1/messages/1
        200
        {"message_number":1,"body":"hi","created_at":"<hi>"}

        GET /applications/<token>/chats/1/messages
        200
        [{"number":1,"body":"hi","created_at":"<hi>"},{"number":2},{"number":3,"body":"1.5"},{"number":4},{"number":5}]

        GET /applications/<token>/chats/1/message_count
        200
        {"chat_number":1,"messages_count":5}

        GET /applications/<token>/message_count
        200
        {"application_token":"<token>","messages_count":5}

        GET /applications/<token>/chats/2/messages
        200
        []

        """

    static let pages = """
        GET /applications/<token>/chats/1/messages?limit=2
        200
          Link: <:any>; rel="next"
        [{"number":1},{"number":2}]

        GET /applications/<token>/chats/1/messages?limit=2&after=2
        200
          Link: <:any>
        [{"number":3},{"number":4}]

        GET /applications/<token>/chats/1/messages?limit=2&before=4
        200
        [{"number":2},{"number":3}]

        GET /applications/<token>/chats/1/messages?order=desc&limit=3
        200
        [{"number":5},{"number":4},{"number":3}]

        GET /applications/<token>/chats?after=1&before=3
        200
        [{"number":2}]

        GET /applications/<token>/chats/1/messages?limit=0
        422
        {"status":422,"errors":["<:any>"]}

        GET /applications/<token>/chats/1/messages?limit=1001
        422
        {"status":422,"errors":["<:any>"]}

        GET /applications/<token>/chats/1/messages?after=x
        422
        {"status":422,"errors":["<:any>"]}

        GET /applications/<token>/chats/1/messages?order=up
        422
        {"status":422,"errors":["<:any>"]}

        """

    static let search = """
        GET /applications/<token>/chats/1/messages/search?q=e%CC%81
        200
        [{"number":2,"body":" É😀\\n\\"\\\\ ","created_at":"<:time>"},{"number":5}]

        GET /applications/<token>/chats/1/messages/search?q=%25
        200
        []

        GET /applications/<token>/chats/1/messages/search?q=H&limit=1
        200
        [{"number":1,"body":"hi","created_at":"<hi>"}]

        GET /applications/<token>/chats/1/messages/search
        422
        {"status":422,"errors":["<:any>"]}

        GET /applications/<token>/chats/1/messages/search?q=+
        422
        {"status":422,"errors":["<:any>"]}

        """

    static let errors = """
        GET /applications/{32*0}
        404
          Content-Type: application/problem+json
        {"type":"<:any>","title":"<:any>","status":404,"detail":"<nothing:any>","instance":"<:any>","code":"<code:any>"}

        GET /applications/nothing
        404
        {"status":404,"detail":"<nothing>","code":"<code>"}

        GET /applications/<token>/chats/4
        404
        {"status":404,"detail":"<nothing>","code":"<code>"}

        GET /applications/<token>/chats/1abc
        404
        {"status":404,"detail":"<nothing>","code":"<code>"}

        GET /applications/<token>/chats/0
        404
        {"status":404,"detail":"<nothing>","code":"<code>"}

        GET /applications/<token>/chats/1/messages/6
        404
        {"status":404,"detail":"<nothing>","code":"<code>"}

        POST /applications/<token>/chats/9/messages {"body":"x"}
        404
        {"status":404,"detail":"<nothing>","code":"<code>"}

        GET /applications/<token>/chats/9/stream
        404
        {"status":404,"detail":"<nothing>","code":"<code>"}

        GET /nowhere
        404
        {"status":404,"detail":"<nothing>","code":"<code>"}

        GET /applications/{32*0}?application_token=<token>
        404
        {"status":404}

        DELETE /applications/<token>/chats
        405
          Allow: <:any>
        {"status":405}

        POST /applications {"name":""}
        422
          Content-Type: application/problem+json
        {"type":"<:any>","title":"<:any>","status":422,"detail":"<:any>","instance":"<:any>","code":"<:any>","errors":["Name can't be blank"]}

        POST /applications {"name":null}
        422
        {"errors":["Name can't be blank"]}

        POST /applications {"name":"{256*x}"}
        422
        {"errors":["Name is too long (maximum is 255 characters)"]}

        PATCH /applications/<token> {"name":" \\t"}
        422
        {"errors":["Name can't be blank"]}

        POST /applications/<token>/chats/1/messages {"body":[]}
        422
        {"errors":["Body can't be blank"]}

        POST /applications/<token>/chats/1/messages {"body":"\\u2003"}
        422
        {"errors":["Body can't be blank"]}

        POST /applications/<token>/chats/1/messages {"body":"a\\u0000b"}
        422
        {"errors":["Body contains a null character"]}

        POST /applications/<token>/chats/1/messages {"body":"{65536*x}"}
        422
        {"errors":["Body is too long (maximum is 65535 bytes)"]}

        POST /applications {}
        400
        {"status":400}

        POST /applications {"name"
        400
        {"status":400}

        POST /applications [1]
        400
        {"status":400}

        POST /applications {"name":"x"}
          Content-Type: text/plain
        415
        {"status":415}

        """

    static let limits = """
        POST /applications/<token>/chats/1/messages {"body":"{262144*x}"}
        413
        {"status":413}

        GET /applications/<token>/chats?x={8200*x}
        414
        {"status":414}

        GET /applications/<token>
          X-Padding: {16400*x}
        431
        {"status":431}

        POST /applications/<token>/chats/1/messages {"body":"{65535*x}"}
        201
        {"message_number":6}

        """

    static let others = """
        GET /up
        200

        GET /livez
        200

        GET /readyz
        200

        GET /metrics
        200

        GET /openapi.yaml
        200

        GET /
        200
          Content-Type: text/html; charset=utf-8

        """
}
