// Two operations of a chat server as people write them by hand: list messages, send a message.

import { serve } from "./chat.js";

serve();
