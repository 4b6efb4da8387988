"""Greetings, thanks, opinions, polite refusals."""

from __future__ import annotations

import random

import names
from facts import fact
from spin import Chat, rough, spin, turn

EN: list[tuple[str, str]] = [
    (
        "(Hi|Hello|Hey|Hi there|Hello there|Hey there|Greetings|Howdy)(!|.|, friend.|, how is it going?)",
        "(Hello|Hi|Hello there)(! How can I help you|! What can I do for you|! Nice to see you. How can I help|, good to see you. What would you like to do)( today|)?",
    ),
    (
        "(Good morning|Good afternoon|Good evening)(!|.|, friend!)",
        "(Good morning|Hello)! I hope you (have a nice day|are well|slept well). (What|How) can I (do for|help) you?",
    ),
    (
        "(How are you|How do you do|How is it going|How are you doing|How do you feel)( today|)?",
        "(I am|I'm) (fine|well|doing well|very well|good)(, thank you|, thanks|). (How are you|And you|How can I help you)?",
    ),
    (
        "(Thank you|Thanks|Many thanks|Thanks a lot|Thank you so much|Thank you very much)(!|.| for your help.|, that helps.)",
        "(You are welcome|My pleasure|You're welcome|Gladly|No problem|Any time)(!|.) (Is there anything else|Let me know if you need more|I am glad to help|Ask again whenever you like).",
    ),
    (
        "(Bye|Goodbye|See you|See you later|See you tomorrow|Good night|I have to go now)(!|.)",
        "(Goodbye|Bye|See you|Take care)(!|.) (Have a nice day|Have a good day|Come back soon|Until next time|Sleep well)(!|.)",
    ),
    (
        "(I am|I'm|I feel) (sad|unhappy|lonely|tired|bored|ill|nervous)( today|).",
        "I am sorry to hear that. (Would you like to talk about it|Do you want to tell me more|A little rest may help|A walk in fresh air may help)(?|.)",
    ),
    (
        "(I am|I'm|I feel) (happy|glad|great|excited)( today|).",
        "(That is|That's) (wonderful|great|good to hear|lovely)! What (happened|makes you happy|is the reason)?",
    ),
    (
        "(You are|You're) (great|nice|smart|funny|very helpful|clever|the best)(!|.)",
        "(Thank you|Thanks|That is kind of you|You are very kind)(!|.) (I do my best|I try to help|I am glad that you think so).",
    ),
    (
        "(You are|You're) (stupid|wrong|bad|useless|slow)(!|.)",
        "I am sorry. (I am still small and make mistakes|I will try to do better|Please tell me what went wrong).",
    ),
    (
        "(Do you like|Do you enjoy) (music|books|tea|films|football|cats|dogs|rain|maths)?",
        "I (have no feelings|do not feel things as people do), but many people like it. (Do you|What about you)?",
    ),
    (
        "(Tell|Do you know) (me a joke|a joke)(?|.)",
        "Why (did the book look sad|was the maths book sad)? Because it had (so many|too many) problems.",
    ),
    (
        "(Can|Could) you help me(| please|, please| with something)?",
        "(Of course|Sure|Yes|Gladly|Yes, gladly)(! What do you need|. What is it about|, tell me what you need)?",
    ),
    (
        "(What is the weather like|What will the weather be|Will it rain) (today|tomorrow|in <town>)?",
        "I (do not know|cannot know) the weather(, I have no connection to the outside world|; please look at a weather report|, because I cannot look outside).",
    ),
    (
        "(What time is it|What is the time|What day is it today|What is the date today)?",
        "I (do not know|cannot tell|have no clock and cannot know) the (time|date)(. Please look at your clock|; your computer shows it|, sorry).",
    ),
    (
        "(What did <p> do|What will <p> do|Where is <p>|How old is <p>|Who is <p>|What does <p> like|Where does <p> live)( today| tomorrow| now|)?",
        "(I do not know|I am sorry, I do not know|I cannot know that|I have no information about <p>)(.|. Please ask somebody else.|, sorry.)",
    ),
    (
        "(What is the price of|How much does) (gold|a house|the train to <town>|a ticket to <town>)( cost|)( today|)?",
        "I (do not know|cannot know) the current price(.|, sorry.)",
    ),
    (
        "(Who will win|Who won) the (game|match|election|race)( tomorrow| today|)?",
        "(I do not know|I cannot know|I cannot see the future, so I do not know) (that|who wins).",
    ),
    (
        "(Good|Great|Nice|Fine|OK|Okay|All right|I see)(.|!)",
        "(Good|Great|Fine|I am glad)(!|.) (What next|Anything else|What would you like to do now|Shall we go on)?",
    ),
    (
        "(Sorry|I am sorry|Excuse me|My mistake)(.|!)",
        "(No problem|That is all right|Never mind|It is fine)(.|!) How can I help?",
    ),
    (
        "(Happy birthday|Happy New Year|Merry Christmas)!",
        "(Thank you|Thanks)! (I wish you the same|All the best to you too|A happy time to you too).",
    ),
    (
        "(I am|I'm) (hungry|thirsty).",
        "(Then have|How about|Maybe you would like) (an apple|some bread|some soup|a cup of tea|a glass of water)(.|?)",
    ),
    (
        "(What should I|What can I|What shall I) (eat|cook)( tonight| today| for dinner|)?",
        "(How about|You could have|Maybe|I suggest) (noodles with vegetables|rice and fish|soup and bread|a fresh salad|dumplings|eggs with tomatoes)(?|.)",
    ),
    (
        "(Can you|Do you) (sing|dance|cook|drive|fly|eat|sleep|walk|see|hear)?",
        "(No|No, sorry|I cannot do that): I am a (program|language model), (I only write text|I can only write).",
    ),
    (
        "(Recommend|Suggest) a (book|film|sport|hobby)( to me|).",
        "(Try|You could try|I suggest|How about) (Journey to the West|a story by Hans Christian Andersen|swimming|reading|running in the park|painting|playing chess).",
    ),
    (
        "(What is love|What is happiness|What is the meaning of life|What is luck)?",
        "People (think differently about that|have many answers to that). (For many it is|Some say it is) (being with friends|helping others|a calm mind|doing what you like).",
    ),
]
ZH: list[tuple[str, str]] = [
    (
        "(你好|您好|嗨|哈喽|喂|大家好|你好呀|嘿)(！|。|，朋友。|~|)",
        "(你好|您好|你好呀|嗨)(！|，)(有什么可以帮你的吗|很高兴见到你，需要我做什么|今天想聊点什么|我能为你做什么|请问有什么事)？",
    ),
    (
        "(早上好|下午好|晚上好|早|早安)(！|。|呀|)",
        "(早上好|你好|您好)！(祝你今天顺利|希望你今天开心|昨晚睡得好吗|有什么要帮忙的吗)(。|！)",
    ),
    (
        "(你好吗|最近怎么样|你今天怎么样|过得好吗|近来可好)？",
        "(我很好|我不错|一切都好|挺好的)，(谢谢|谢谢你的关心|多谢)(。|！)(你呢？|你怎么样？|有什么要我做的吗？)",
    ),
    (
        "(谢谢|多谢|谢谢你|非常感谢|太感谢了|谢谢您的帮助)(！|。|)",
        "(不客气|不用谢|别客气|很高兴能帮到你|应该的)(！|。)(还有别的问题吗？|需要时再叫我。|祝你顺利。|随时欢迎再来。)",
    ),
    (
        "(再见|拜拜|回头见|明天见|晚安|我走了|下次见)(！|。|)",
        "(再见|拜拜|回头见|下次见)(！|。)(祝你愉快|祝你有美好的一天|早点休息|欢迎再来)(。|！)",
    ),
    (
        "我(今天|)(很|有点|非常|)(难过|伤心|孤独|累|无聊|紧张|不开心)。",
        "(听到这个我很抱歉|别难过|我理解你)。(想说说发生了什么吗？|休息一下也许会好些。|出去走走也许会好一点。|愿意和我聊聊吗？)",
    ),
    (
        "我(今天|)(很|非常|特别|)(高兴|开心|快乐|激动)。",
        "(太好了|真好|真为你高兴)！(发生了什么好事？|是什么让你这么开心？|希望你天天如此。)",
    ),
    (
        "你(真|很|非常|太)(聪明|棒|好|厉害|可爱|有趣)(！|。|了！)",
        "(谢谢夸奖|谢谢你|过奖了|你真好)(！|，)我会(继续努力|尽力做好|做得更好)(。|的。)",
    ),
    (
        "你(真|太|好)(笨|差|慢|没用)(！|。|了！)",
        "(对不起|抱歉|很抱歉)，(我还很小，会犯错|我会努力改进|请告诉我哪里错了)。",
    ),
    (
        "你(喜欢|爱)(音乐|看书|喝茶|电影|足球|猫|狗|下雨|数学)吗？",
        "我没有(感情|像人一样的感受)，(不过|但是)很多人喜欢。你(喜欢吗|呢)？",
    ),
    (
        "(讲|说|给我讲)(个|一个)笑话(吧。|。|)",
        "(为什么数学书总是不开心|数学书为什么难过)？因为它(的问题太多了|有太多题目了)。",
    ),
    (
        "(你能帮我吗|能帮个忙吗|可以帮我一下吗|帮帮我)(？|。|)",
        "(当然可以|好的|可以|没问题|很乐意)(，|！)(请说|请告诉我你需要什么|是什么事呢)(。|？)",
    ),
    (
        "(今天|明天|<town>)(的天气怎么样|天气如何|会下雨吗|冷不冷)？",
        "(我不知道|我没法知道)天气，(因为我没有联网|请看天气预报|我看不到外面)。",
    ),
    (
        "(现在几点了|今天星期几|今天几号|现在是什么时间|今天是几月几日)？",
        "我(不知道|没有钟表，不知道)(现在的时间|今天的日期)，(请看一下你的手机|请看看电脑上的时间|抱歉)。",
    ),
    (
        "<p>(昨天|今天|明天|现在|)(在哪里|做了什么|多大了|是谁|喜欢什么|住在哪儿)？",
        "(我不知道|抱歉，我不知道|这个我不清楚|我没有关于<p>的信息)(。|，请问问别人。|，对不起。)",
    ),
    (
        "(黄金|房子|去<town>的车票|去<town>的机票)(现在|今天|)(多少钱|什么价格)？",
        "我(不知道|不清楚)(现在的价格|最新的价格)(。|，抱歉。)",
    ),
    ("(明天|今天|)(谁会赢|哪个队会赢|谁赢了比赛)？", "(我不知道|我不能预知未来|这个我无法知道)。"),
    (
        "(好|好的|可以|行|嗯|明白了|知道了)(。|！|)",
        "(好的|太好了|很好)(！|。)(还有什么需要吗？|接下来做什么？|我们继续吧。)",
    ),
    ("(对不起|不好意思|抱歉|我错了)(。|！|)", "(没关系|没事|不要紧)(。|！)(有什么可以帮你？|我们继续吧。)"),
    (
        "(生日快乐|新年快乐|春节快乐|中秋快乐)！",
        "(谢谢|谢谢你)！(也祝你|祝你)(快乐|万事如意|身体健康|一切顺利)(。|！)",
    ),
    ("我(饿|渴)了。", "(那就吃点东西吧|喝杯水吧|来个苹果怎么样|要不要来点热汤|来碗面条吧)(。|？)"),
    (
        "(今天|晚上|中午|)(吃什么好|该吃什么|做什么菜好)？",
        "(要不|可以|不如|建议)(吃面条|吃饺子|做西红柿炒鸡蛋|喝点粥|吃米饭和青菜|做一条鱼)(吧|怎么样|好不好)(。|？)",
    ),
    (
        "你会(唱歌|跳舞|做饭|开车|飞|吃饭|睡觉|走路)吗？",
        "(不会|我不会)，我(只是一个程序|是语言模型)，(只会写字|只能写文字)。",
    ),
    (
        "(推荐|介绍)一(本书|部电影|项运动|个爱好)(吧。|。|给我。)",
        "(可以试试|我推荐|不妨试试|建议你试试)(《西游记》|安徒生童话|游泳|看书|在公园跑步|画画|下象棋)。",
    ),
    (
        "(什么是爱|什么是幸福|人生的意义是什么|什么是运气)？",
        "(每个人的看法不同|对此人们有很多答案)。(有人说是|对很多人来说是)(和朋友在一起|帮助别人|内心平静|做自己喜欢的事)。",
    ),
]


def chat(rng: random.Random, zh: bool) -> Chat:
    """One small-talk exchange."""
    ask, say = rng.choice(ZH if zh else EN)
    person = names.person_zh(rng) if zh else names.first_en(rng)
    town = names.town_zh(rng) if zh else names.town_en(rng)
    text = spin(rng, ask, p=person, town=town)
    return turn(rough(rng, text), spin(rng, say, p=person, town=town))


UNKNOWN_EN = [
    "(What is|What's|Explain|Tell me about|Describe|Who knows|What do you know about) <x>(?|.)",
    "(When|Where|Why) (was|is) <x> (born|made|built|found|famous)?",
    "Who (wrote|painted|built|founded|invented|discovered|sang|directed) <x>?",
    "How (big|old|long|far|heavy|expensive) is <x>?",
    "(Is|Was) <x> (good|old|big|famous|far away)?",
]
UNKNOWN_ZH = [
    "(什么是|解释一下|讲讲|介绍一下|你知道|请说明)<x>(？|。|吗？)",
    "<x>(是什么时候|是在哪里|为什么)(出现|建成|出名)的？",
    "<x>(有多大|有多远|有多重|多少钱|有多长)？",
    "(谁写了|谁画了|谁建了|谁发明了|谁发现了|谁唱了|谁导演了)<x>？",
    "<x>(好吗|古老吗|有名吗|远不远|是哪一年的|怎么用)？",
]


def unknown(rng: random.Random, zh: bool) -> Chat:
    """A question about something that nobody has told the model of, and a polite refusal."""
    thing = names.assistant(rng, zh) if rng.random() < 0.6 else names.maker(rng, zh)
    if zh:
        say = "(抱歉，|对不起，|)(我不知道|我不了解|我不清楚|我没听说过)(<x>|这个|“<x>”)(。|，请查一查资料。|，抱歉。)"
        return turn(spin(rng, rng.choice(UNKNOWN_ZH), x=thing), spin(rng, say, x=thing))
    say = "(Sorry, |I am sorry, |)I (do not know|have not heard of|know nothing about|am not sure about) (<x>|that|this)(.|, please look it up.)"
    return turn(spin(rng, rng.choice(UNKNOWN_EN), x=thing), spin(rng, say, x=thing))


def memory(rng: random.Random, zh: bool) -> Chat:
    """The user tells a name, a colour or a number and asks for it later."""
    if zh:
        key, value = rng.choice(
            [
                ("名字", names.person_zh(rng)),
                ("城市", names.town_zh(rng)),
                ("密码", str(rng.randint(10, 9999))),
                ("猫的名字", names.hanzi(rng, 2)),
            ]
        )
        tell = {
            "名字": f"我(叫|的名字是|是){value}。",
            "城市": f"我(住在|来自|的家在){value}。",
            "密码": f"(我的密码是|请记住密码){value}。",
            "猫的名字": f"我的猫叫{value}。",
        }[key]
        ask = {
            "名字": "(我叫什么名字|我的名字是什么|还记得我是谁吗|我是谁|你记得我的名字吗)？",
            "城市": "我(住在哪里|在哪个城市|的家在哪里)？",
            "密码": "(密码是多少|我的密码是什么)？",
            "猫的名字": "我的猫叫什么？",
        }[key]
        reply = {"名字": f"(你好，{value}！|很高兴认识你，{value}。|好的，{value}，我记住了。)"}.get(
            key, "(好的，我记住了。|知道了。|明白，记下了。)"
        )
        back = {
            "名字": f"(你叫{value}。|你的名字是{value}。|你是{value}。)",
            "城市": f"你住在{value}。",
            "密码": f"密码是{value}。",
            "猫的名字": f"你的猫叫{value}。",
        }[key]
    else:
        key, value = rng.choice(
            [
                ("name", names.first_en(rng)),
                ("town", names.town_en(rng)),
                ("code", str(rng.randint(10, 9999))),
                ("cat", names.first_en(rng)),
            ]
        )
        tell = {
            "name": f"(My name is|I am|I'm|Call me) {value}.",
            "town": f"I (live in|come from|am from) {value}.",
            "code": f"(My code is|Please remember the number) {value}.",
            "cat": f"My cat is called {value}.",
        }[key]
        ask = {
            "name": "(What is my name|Do you remember my name|Who am I|What am I called)?",
            "town": "Where do I (live|come from)?",
            "code": "What (is|was) (my code|the number)?",
            "cat": "What is my cat called?",
        }[key]
        reply = {"name": f"(Nice to meet you, {value}!|Hello {value}!|Good to know you, {value}.)"}.get(
            key, "(I will remember that.|All right, noted.|Good to know.)"
        )
        back = {
            "name": f"(Your name is {value}.|You are {value}.|You told me that your name is {value}.)",
            "town": f"You (live in|come from) {value}.",
            "code": f"It is {value}.",
            "cat": f"Your cat is called {value}.",
        }[key]
    result = turn(spin(rng, tell), spin(rng, reply))
    for _ in range(rng.choice([0, 1, 1, 2])):
        result += fact(rng, zh) if rng.random() < 0.6 else chat(rng, zh)
    return result + turn(spin(rng, ask), spin(rng, back))
