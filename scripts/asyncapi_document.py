"""asyncapi.yaml as scripts/check-asyncapi.py needs it: the structure of AsyncAPI 3.0, and schemas that allow nothing
else than they say.
"""
import copy

import jsonschema, yaml

# The objects of AsyncAPI 3.0 that the document may have: their members, with `!` those that must be there, and what is
# in each: an object, `{}` for a map and `[]` for a list of it; a schema; any value; or text, which also is a number or
# a boolean.
OBJECTS = {
    "document": "asyncapi!text info!info id:text defaultContentType:text servers:{}server channels:{}channel "
                "operations:{}operation components:components",
    "info": "title!text version!text description:text license:license contact:any tags:[]any externalDocs:any",
    "license": "name!text url:text",
    "server": "host!text protocol!text pathname:text title:text summary:text description:text variables:{}variable "
              "security:[]scheme bindings:any",
    "variable": "enum:[]text default:text description:text examples:[]text",
    "channel": "address:text title:text summary:text description:text servers:[]server parameters:{}parameter "
               "messages:{}message bindings:any",
    "parameter": "enum:[]text default:text description:text examples:[]text location:text",
    "operation": "action!text channel!channel title:text summary:text description:text messages:[]message "
                 "security:[]scheme reply:reply bindings:any",
    "reply": "channel:channel messages:[]message address:any",
    "message": "headers:schema payload:schema correlationId:correlation contentType:text name:text title:text "
               "summary:text description:text bindings:any examples:[]example",
    "example": "name:text summary:text headers:any payload:any",
    "correlation": "description:text location!text",
    "scheme": "type!text description:text name:text in:text scheme:text bearerFormat:text",
    "components": "schemas:{}schema servers:{}server channels:{}channel operations:{}operation messages:{}message "
                  "securitySchemes:{}scheme serverVariables:{}variable parameters:{}parameter replies:{}reply "
                  "correlationIds:{}correlation",
}


class Document:
    def __init__(self, text):
        self.root = yaml.safe_load(text)
        self.problems = []
        self.used = set()
        self.look(self.root, "document", "#")
        if not self.problems:
            self.look_closer()
        if not self.problems:
            # channel → name → message, with its schemas closed.
            self.messages = {channel: {name: self.closed(self.follow(each)) for name, each in it["messages"].items()}
                             for channel, it in self.root["channels"].items()}
            self.look_at_examples()

    def say(self, place, what):
        self.problems.append(f"{place}: {what}")

    def follow(self, value):
        """What a reference means, or the value itself."""
        while isinstance(value, dict) and "$ref" in value:
            self.used.add(value["$ref"])
            target = self.root
            for part in value["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            value = target
        return value

    def look(self, value, kind, place):
        """Notes what is not of this kind."""
        if kind.startswith("{}") or kind.startswith("[]"):
            if not isinstance(value, dict if kind[0] == "{" else list):
                return self.say(place, "must be a map" if kind[0] == "{" else "must be a list")
            for name, each in value.items() if kind[0] == "{" else enumerate(value):
                self.look(each, kind[2:], f"{place}/{name}")
            return
        if isinstance(value, dict) and "$ref" in value:
            try:
                self.follow(value)
            except (KeyError, TypeError):
                return self.say(place, f"there is no {value['$ref']}")
            return None if len(value) == 1 else self.say(place, "a $ref must stand alone")
        if kind == "schema":
            return self.look_at_schema(value, place)
        if kind == "text":
            return None if isinstance(value, (str, int, float, bool)) else self.say(place, "must be text")
        if kind == "any":
            return
        if not isinstance(value, dict):
            return self.say(place, f"must be a {kind}")
        members = {}
        for member in OBJECTS[kind].split():
            name, needed, its = member.partition("!")
            if not needed:
                name, _, its = member.partition(":")
            elif name not in value:
                self.say(place, f"{name} is missing")
            members[name] = its
        for name, each in value.items():
            if name in members:
                self.look(each, members[name], f"{place}/{name}")
            elif not name.startswith("x-"):
                self.say(place, f"a {kind} has no {name}")

    def look_at_schema(self, schema, place):
        if not isinstance(schema, dict):
            return self.say(place, "must be a schema")
        try:
            jsonschema.Draft7Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            self.say(place, error.message)
        if "$ref" in schema and len(schema) > 1:
            self.say(place, "a $ref must stand alone")
        if "properties" in schema and not set(schema.get("required", [])) <= set(schema["properties"]):
            self.say(place, "what is required must be among the properties")
        for name, each in schema.get("properties", {}).items():
            self.look(each, "schema", f"{place}/{name}")
        if "items" in schema:
            self.look(schema["items"], "schema", f"{place}/items")

    def look_closer(self):
        """What is said in two places must be said alike."""
        if self.root["asyncapi"] != "3.0.0":
            self.say("#", "must be of AsyncAPI 3.0.0")
        spoken = {}
        for name, operation in self.root["operations"].items():
            place = f"#/operations/{name}"
            if operation["action"] not in ("send", "receive"):
                self.say(place, "the action must be send or receive")
            for part in [operation, operation.get("reply", {})]:
                for each in part.get("messages", []):
                    if not each.get("$ref", "").startswith(part["channel"]["$ref"] + "/messages/"):
                        self.say(place, "its messages must be the channel's")
                    # A reply goes the other way.
                    sends = (operation["action"] == "send") == (part is operation)
                    spoken.setdefault(each["$ref"], set()).add("server" if sends else "client")
        self.senders = {}
        for name, channel in self.root["channels"].items():
            place = f"#/channels/{name}"
            wanted = {part[1:-1] for part in channel["address"].split("/") if part.startswith("{")}
            if wanted != set(channel.get("parameters", {})):
                self.say(place, "the parameters must be those of its address")
            for server in channel["servers"]:
                if not server["$ref"].startswith("#/servers/"):
                    self.say(place, "its servers must be among the document's")
            for key, message in channel["messages"].items():
                by = spoken.get(f"{place}/messages/{key}", set())
                if len(by) != 1:
                    self.say(f"{place}/messages/{key}", f"must be said by one side, not by {sorted(by)}")
                self.senders[name, key] = next(iter(by), None)
                if self.follow(message).get("name") != key:
                    self.say(f"{place}/messages/{key}", "must have its name")
                for part in ("payload", "examples"):
                    if not self.follow(message).get(part):
                        self.say(f"{place}/messages/{key}", f"has no {part}")
        for kind, things in self.root["components"].items():
            for name in things:
                if not any(f"{each}/".startswith(f"#/components/{kind}/{name}/") for each in self.used):
                    self.say(f"#/components/{kind}/{name}", "is not used")

    def closed(self, value):
        """A copy with its references resolved, whose objects have no other members and whose enumerations are all."""
        value = self.follow(value)
        if isinstance(value, list):
            return [self.closed(each) for each in value]
        if not isinstance(value, dict):
            return value
        copied = {name: copy.deepcopy(each) if name == "examples" else self.closed(each)
                  for name, each in value.items()}
        if "properties" in copied and isinstance(copied.get("type"), str):
            copied.setdefault("additionalProperties", False)
        if "x-extensible-enum" in copied:
            copied["enum"] = copied["x-extensible-enum"]
        return copied

    def look_at_examples(self):
        for channel, messages in self.messages.items():
            for name, message in messages.items():
                for index, example in enumerate(message["examples"]):
                    place = f"{channel}: {name}, example {index + 1}"
                    for problem in self.mismatches(message, example):
                        self.say(place, problem)
                    for other in self.names(channel, self.senders[channel, name], example):
                        if other != name:
                            self.say(place, f"is a {other}, too")

    @staticmethod
    def mismatches(message, value):
        """Why headers and payload are not of a message."""
        for part in ("headers", "payload"):
            if (part in message) != (part in value):
                yield f"{part} are there on one side alone"
            elif part in message:
                for error in jsonschema.Draft7Validator(message[part]).iter_errors(value[part]):
                    yield "/".join(map(str, [part, *error.absolute_path])) + ": " + error.message

    def names(self, channel, sender, value):
        """Of the messages that this value is."""
        return [name for name, message in self.messages[channel].items()
                if self.senders[channel, name] == sender and not any(self.mismatches(message, value))]

    def codes(self):
        """Of close frames."""
        return {each["code"]: each for each in self.root["channels"]["socket"]["x-close-codes"]}


def shape(value, name=None):
    """The members of a value, at any depth, and of which type they are. What metadata has is the application's own."""
    if isinstance(value, dict):
        return "object" if name == "metadata" else {key: shape(each, key) for key, each in value.items()}
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, (int, float)) else "text"
